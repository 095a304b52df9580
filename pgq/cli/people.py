"""How people read what programs get as it is: times as ages, durations in words, long text cut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from pgq.cli import output as out

_UNITS = (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1))
_LONGEST_AGE = timedelta(days=100)
_WIDEST = 40


def table(
    rows: Sequence[Mapping[str, Any]],
    columns: Mapping[str, str],
    *,
    now: datetime,
    widths: Mapping[str, int] | None = None,
) -> None:
    """Print rows; `columns` maps fields to headings, `widths` says where their text is cut."""
    widths = widths or {}
    cells = [
        {
            heading: cut(words(row[name], now=now), widths.get(name, _WIDEST))
            for name, heading in columns.items()
        }
        for row in rows
    ]
    out.write(cells, list(columns.values()), output="table")


def words(value: Any, *, now: datetime) -> str:
    """A value in words."""
    if isinstance(value, datetime):
        return age(value, now=now)
    return duration(value) if isinstance(value, timedelta) else out.shown(value)


def age(value: datetime, *, now: datetime) -> str:
    """`3 s ago`, `in 2 h`; beyond 100 days the date."""
    passed = now - value
    if abs(passed) > _LONGEST_AGE:
        return f"{value.astimezone():%Y-%m-%d}"
    seconds = abs(passed).total_seconds()
    unit, size = next((each for each in _UNITS if seconds >= each[1]), _UNITS[-1])
    rough = f"{int(seconds // size)} {unit}"
    return f"in {rough}" if passed < timedelta() else f"{rough} ago"


def moment(value: datetime, *, now: datetime) -> str:
    """The time on this machine's clock, and its age."""
    return f"{value.astimezone():%Y-%m-%d %H:%M:%S} ({age(value, now=now)})"


def duration(value: timedelta) -> str:
    """`10 min`, `1 d 2 h`, `500 ms`."""
    left = round(value.total_seconds() * 1000)
    parts = []
    for unit, size in (*((unit, size * 1000) for unit, size in _UNITS), ("ms", 1)):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts) or "0 s"


def cut(text: str, widest: int) -> str:
    """`text`, its end left out where it is too long."""
    return text if len(text) <= widest else f"{text[: widest - 1]}…"


def plural(count: int, noun: str) -> str:
    """`1 job`, `2,000 jobs`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def printable(text: str) -> str:
    """Lines of text without anything that a terminal would obey."""
    return "\n".join(out.shown(line) for line in text.splitlines())
