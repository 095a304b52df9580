"""How times, durations and counts read on a page."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from markupsafe import Markup

_UNITS = (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1))
_LONGEST_AGE = timedelta(days=100)
_STEPS = ((1_000_000_000, "G"), (1_000_000, "M"), (10_000, "k"))


def ago(at: datetime, now: datetime) -> Markup:
    """A time element: the age, with the time itself in its title. The browser keeps it true."""
    return Markup('<time datetime="{}" title="{}" data-ago>{}</time>').format(
        at.isoformat(), moment(at), age(at, now)
    )


def age(at: datetime, now: datetime) -> str:
    """`3 s ago`, `in 2 h`; beyond 100 days the date."""
    passed = now - at
    if abs(passed) > _LONGEST_AGE:
        return f"{at:%Y-%m-%d}"
    seconds = abs(passed).total_seconds()
    unit, size = next((each for each in _UNITS if seconds >= each[1]), _UNITS[-1])
    rough = f"{int(seconds // size)} {unit}"
    return f"in {rough}" if passed < -timedelta(seconds=1) else f"{rough} ago"


def moment(at: datetime) -> str:
    """`2026-11-21 08:30:05.123 UTC`."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03} UTC"


def clock(at: datetime) -> str:
    """`08:30:05.123`, of a line in a log."""
    return moment(at)[11:23]


def day(at: datetime) -> str:
    """`21 November 2026`."""
    return f"{at.day} {at:%B %Y}"


def duration(value: timedelta) -> str:
    """`10 min`, `1 d 2 h`, `12.3 s`, `540 ms`."""
    seconds = value.total_seconds()
    if seconds < 1:
        return f"{max(round(seconds * 1000), 0)} ms"
    if seconds < 60:
        return f"{seconds:.1f}".removesuffix(".0") + " s"
    parts = []
    left = round(seconds)
    for unit, size in _UNITS:
        n, left = divmod(left, size)
        if n:
            parts.append(f"{n} {unit}")
    return " ".join(parts[:2])


def short(n: int) -> str:
    """`9,999`, `12.3k`, `4.56M`."""
    for size, unit in _STEPS:
        if abs(n) >= size:
            scale = 1000 if unit == "k" else size
            return f"{n / scale:.{1 if abs(n) >= 100 * scale or unit == 'k' else 2}f}{unit}"
    return f"{n:,}"


def count(n: int, one: str, many: str | None = None) -> str:
    """`1 job`, `2,000 jobs`."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def rate(value: float) -> str:
    """`0`, `0.4`, `12`, `3,400`."""
    return f"{value:,.0f}" if value >= 10 or value == 0 else f"{value:.1f}"


def exact(value: timedelta) -> str:
    """As `duration`, without rounding: `1 d 2 h 30 min`, `1.5 s`."""
    left = value.total_seconds()
    parts = []
    for unit, size in _UNITS[:-1]:
        n, left = divmod(left, size)
        if n:
            parts.append(f"{n:.0f} {unit}")
    if left or not parts:
        parts.append(f"{left:.6f}".rstrip("0").rstrip(".") + " s")
    return " ".join(parts)
