"""What is typed on the command line: ids, durations, times and JSON, each a click type.

They raise `click.BadParameter` that says what was expected; click adds which parameter it was.
"""

from __future__ import annotations

import io
import json
import re
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn, cast

import click

_UNITS = {
    **dict.fromkeys(("ms", "millisecond", "milliseconds"), timedelta(milliseconds=1)),
    **dict.fromkeys(("", "s", "sec", "secs", "second", "seconds"), timedelta(seconds=1)),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), timedelta(minutes=1)),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), timedelta(hours=1)),
    **dict.fromkeys(("d", "day", "days"), timedelta(days=1)),
    **dict.fromkeys(("w", "week", "weeks"), timedelta(weeks=1)),
}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)\s*", re.ASCII)
_LONGEST = timedelta(days=36_500)


def job_id(text: str) -> int:
    """The number of a job."""
    if not re.fullmatch(r"\d{1,18}", text, re.ASCII):
        raise click.BadParameter(
            f"{shown(text)} is no job id; expected a number, as 93531668480001"
        )
    return int(text)


def duration(text: str) -> timedelta:
    """A number with a unit, or several: 90s, 1h30m, 2 days. A bare number is seconds."""
    total, rest = timedelta(), text.strip().lower()
    while part := _PART.match(rest):
        number, unit = part.groups()
        if unit not in _UNITS or (not unit and part[0] != text.strip()):
            break
        rest = rest[part.end() :]
        total += min(float(number), _LONGEST / _UNITS[unit] + 1) * _UNITS[unit]
        if total > _LONGEST:
            raise click.BadParameter(f"{shown(text)} is too long; expected at most 36500d")
        if not rest:
            return total
    raise click.BadParameter(
        f"{shown(text)} is no duration; expected a number with a unit (ms, s, m, h, d, w), "
        "as 90s or 1h30m"
    )


def instant(text: str) -> datetime:
    """A point in time as in ISO 8601; without a zone it is this machine's."""
    try:
        moment = datetime.fromisoformat(text)
        return moment if moment.tzinfo else moment.astimezone()
    except (ValueError, OverflowError):
        raise click.BadParameter(
            f"{shown(text)} is no time; expected ISO 8601, as 2030-01-31T09:30 (this machine's "
            "zone) or 2030-01-31T09:30Z"
        ) from None


def json_text(text: str) -> str:
    """JSON, kept as it was typed: the value itself, @FILE, or - for standard input."""
    if text == "-":
        content = _decoded(stdin().read(), "standard input")
    elif text.startswith("@"):
        content = _decoded(_read(text[1:]), text[1:])
    else:
        content = text
    try:
        check_json(content)
    except ValueError as error:
        quotes = f"; a string needs quotes: '\"{text}\"'" if re.fullmatch(r"\w[\w-]*", text) else ""
        raise click.BadParameter(f"{shown(content)} is not JSON: {error}{quotes}") from None
    return content


def header(text: str) -> tuple[str, str]:
    """NAME=VALUE."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise click.BadParameter(f"{shown(text)} is no header; expected NAME=VALUE")
    return name, value


def check_json(text: str) -> Any:
    """The value that JSON text stands for, its numbers as text, however long they are.

    Raises ValueError that tells what is wrong and at which line and column.
    """
    try:
        return json.loads(text, parse_int=str, parse_float=str, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        what = (error.msg[0].lower() + error.msg[1:]).removesuffix(" starting at")
        raise ValueError(f"{what} at line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def shown(text: str) -> str:
    """`text` in quotes, on one line, and cut when it is long."""
    line = " ".join(text.split())
    return repr(line if len(line) <= 60 else line[:59] + "…")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def at_place(text: str) -> tuple[list[str], str]:
    """PATH=VALUE: names with dots between them, and what stands there."""
    path, equals, value = text.partition("=")
    if not equals or not path:
        raise click.BadParameter(f"{shown(text)} is no PATH=VALUE, as user.id=42")
    return path.split("."), value


def stdin() -> io.BufferedReader:
    """Standard input, as bytes."""
    if sys.stdin is None:
        raise click.UsageError("standard input is closed")
    return cast(io.BufferedReader, sys.stdin.buffer)


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise click.BadParameter(f"cannot read {shown(path)}: {why}") from None


def _decoded(content: bytes, source: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise click.BadParameter(
            f"{source} is not UTF-8: byte {error.start + 1} makes no character"
        ) from None
