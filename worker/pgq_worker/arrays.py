"""Arrays as Postgres writes them, for statements that carry hundreds of values."""

from __future__ import annotations

from collections.abc import Iterable


def numbers(values: Iterable[float | None]) -> str:
    """Of integers or floats."""
    return "{" + ",".join(["null" if value is None else str(value) for value in values]) + "}"


def flags(values: Iterable[bool]) -> str:
    return "{" + ",".join(["t" if value else "f" for value in values]) + "}"


def texts(values: Iterable[str | None]) -> str:
    """Of strings, which may hold anything; what no Postgres text can hold is replaced."""
    return "{" + ",".join(["null" if value is None else _quoted(value) for value in values]) + "}"


def plain(values: Iterable[str]) -> str:
    """Of strings without quotes, commas, braces or backslashes, such as tokens."""
    return "{" + ",".join(values) + "}"


def clean(text: str) -> str:
    """What Postgres can store: without NUL and lone surrogates."""
    if text.isascii():
        return text.replace("\x00", "�") if "\x00" in text else text
    return text.replace("\x00", "�").encode("utf-8", "replace").decode("utf-8")


def _quoted(value: str) -> str:
    return '"' + clean(value).replace("\\", "\\\\").replace('"', '\\"') + '"'
