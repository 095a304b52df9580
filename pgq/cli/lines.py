"""Jobs as lines of JSON on standard input."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, NamedTuple

import click

from pgq.cli import values

BATCH = 1000
"""Lines that are entered together, all or none."""
_CHUNK = 1024 * 1024


class Line(NamedTuple):
    """A line that says something; the first is number 1."""

    number: int
    text: str


class BadLine(click.ClickException):
    """A line makes no sense."""

    exit_code = 2

    def __init__(self, number: int, why: str) -> None:
        super().__init__(f"line {number}: {why}")


def batches() -> Iterator[list[Line]]:
    """The lines that are not blank. Those that have arrived do not wait for more."""
    stream = values.stdin()
    rest, number = b"", 0
    while chunk := stream.read1(_CHUNK):
        *whole, rest = (rest + chunk).split(b"\n")
        found = iter([(number + n, line) for n, line in enumerate(whole, 1) if line.strip()])
        number += len(whole)
        while batch := list(islice(found, BATCH)):
            yield [_decoded(n, line) for n, line in batch]
    if rest.strip():
        yield [_decoded(number + 1, rest)]


def job(line: Line, defaults: Mapping[str, str], *, is_payload: bool) -> str:
    """The object that `pgq.enqueue_many` takes, in which the line stands letter by letter.

    `defaults` are fields as JSON text, for what the line leaves out. Raises `BadLine`.
    """
    try:
        value = values.check_json(line.text)
    except ValueError as error:
        why = str(error).replace("line 1, ", "")
        raise BadLine(line.number, f"{values.shown(line.text)} is not JSON: {why}") from None
    if is_payload:
        return _object({**defaults, "payload": line.text})
    if not isinstance(value, dict):
        raise BadLine(
            line.number,
            f'{values.shown(line.text)} is no object; expected a job, as {{"task": "…"}}, '
            "or TASK as an argument when lines are payloads",
        )
    given = set(value)
    if given & {"delay", "run_at"}:
        given |= {"delay", "run_at"}
    added = _object({name: text for name, text in defaults.items() if name not in given})
    between = "," if value and added != "{}" else ""
    return f"{added[:-1]}{between}{line.text.strip()[1:]}"


def encoded(value: Any) -> str:
    """An option as the JSON that `pgq.enqueue_many` takes for it."""
    if isinstance(value, timedelta):
        return json.dumps(f"{value // timedelta(microseconds=1)} microseconds")
    return json.dumps(value.isoformat() if isinstance(value, datetime) else value)


def _object(fields: Mapping[str, str]) -> str:
    return f"{{{','.join(f'{json.dumps(name)}:{text}' for name, text in fields.items())}}}"


def _decoded(number: int, line: bytes) -> Line:
    try:
        return Line(number, line.decode("utf-8-sig" if number == 1 else "utf-8"))
    except UnicodeDecodeError as error:
        raise BadLine(number, f"byte {error.start + 1} makes no UTF-8 character") from None
