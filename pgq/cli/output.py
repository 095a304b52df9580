"""What commands print: a table for people, JSON for programs."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal, TextIO, TypeVar

import click

Format = Literal["table", "json"]
Row = Mapping[str, Any]

_Command = TypeVar("_Command", bound=Callable[..., Any])


@dataclass(frozen=True)
class Verbatim:
    """JSON text that is printed letter by letter: reading it could cost digits."""

    text: str

    def __str__(self) -> str:
        return self.text


def option(command: _Command) -> _Command:
    """Adds `-o table|json`, passed on as `output`."""
    decorate = click.option(
        "-o",
        "--output",
        type=click.Choice(["table", "json"]),
        default="table",
        show_default=True,
        help="For people or for programs.",
    )
    return decorate(command)


def is_terminal(stream: TextIO | None) -> bool:
    """Whether people are at the other end; a stream that was closed is None."""
    return stream is not None and stream.isatty()


def write(rows: Sequence[Row], columns: Sequence[str], *, output: Format) -> None:
    """Print a list: a table with a heading, or an array of objects."""
    if output == "json":
        click.echo(_json([{name: row[name] for name in columns} for row in rows]))
        return
    cells = [[name.replace("_", " ").upper() for name in columns]]
    cells += [[shown(row[name]) for name in columns] for row in rows]
    widths = [max(len(line[n]) for line in cells) for n in range(len(columns))]
    for line in cells:
        padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        click.echo(_fitted("  ".join(padded).rstrip()))


def write_one(row: Row, *, output: Format) -> None:
    """Print one thing: a line for each field, or an object."""
    if output == "json":
        click.echo(_json(dict(row)))
        return
    width = max((len(name) for name in row), default=0)
    for name, value in row.items():
        click.echo(f"{name.replace('_', ' ').ljust(width)}  {shown(value)}".rstrip())


def shown(value: Any) -> str:
    """A value in a table's cell: one line, without anything that a terminal would obey."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return value.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, list | tuple):
        return ", ".join(shown(part) for part in value)
    if isinstance(value, dict):
        value = json.dumps(value, ensure_ascii=False)
    text = str(value).replace("\n", " ⏎ ")
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def _fitted(line: str) -> str:
    if not is_terminal(sys.stdout):
        return line
    width = shutil.get_terminal_size().columns
    return line if len(line) <= width else line[: width - 1] + "…"


def _json(value: Any) -> str:
    kept: list[str] = []

    def plain(value: Any) -> Any:
        if not isinstance(value, Verbatim):
            return _plain(value)
        kept.append(value.text)
        return f"\0{len(kept) - 1}"

    text = json.dumps(value, ensure_ascii=False, indent=2, default=plain)
    if not kept:
        return text
    return re.sub(r'"\\u0000(\d+)"', lambda place: kept[int(place[1])], text)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} is no JSON")
