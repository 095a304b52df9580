"""Values of forms: numbers, times and JSON come as text, and an empty field is one left out."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol
from urllib.parse import quote

from pydantic import model_validator

from pgq_server.call import Call
from pgq_server.models.base import Request
from pgq_server.ui import faces


class Fields(Request):
    """What a form sends in an address: its empty fields are left out."""

    @model_validator(mode="before")
    @classmethod
    def _leave_out(cls, values: object) -> object:
        if not isinstance(values, dict):
            return values
        return {name: value for name, value in values.items() if value != ""}


def number(value: object) -> object:
    """A whole number."""
    if isinstance(value, str):
        if not value.strip().lstrip("-").isdecimal() or len(value) > 19:
            raise ValueError("expected a whole number")
        return int(value)
    return value


def decimal(value: object) -> object:
    """A number that may have a fraction."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            raise ValueError("expected a number") from None
    return value


def moment(value: object) -> object:
    """What a datetime-local field holds, which is UTC here."""
    if isinstance(value, str):
        try:
            at = datetime.fromisoformat(value)
        except ValueError:
            raise ValueError("expected a time, as 2030-01-31T09:30") from None
        return at if at.tzinfo else at.replace(tzinfo=UTC)
    return value


def shown_moment(at: datetime) -> str:
    """For a datetime-local field."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}"


_UNITS = {"ms": 0.001, "s": 1, "min": 60, "m": 60, "h": 3600, "d": 86_400}


def duration(value: object) -> object:
    """`90`, `1.5 h`, `1 d 2 h`; without a unit it is seconds."""
    if not isinstance(value, str):
        return value
    seconds, left = 0.0, value.strip()
    if left.replace(".", "", 1).isdecimal():
        left += " s"
    words = left.replace(",", " ").split()
    if not words or len(words) % 2:
        words = _parted(left)
    for amount, unit in zip(words[::2], words[1::2], strict=True):
        if unit not in _UNITS or not amount.replace(".", "", 1).isdecimal():
            raise ValueError("expected a duration, as 90 s, 10 min, 2 h or 7 d")
        seconds += float(amount) * _UNITS[unit]
    if seconds > 36_500 * 86_400:
        raise ValueError("expected at most 100 years")
    return timedelta(seconds=seconds)


def _parted(text: str) -> list[str]:
    """`2h30m` in words."""
    words: list[str] = []
    for letter in text.replace(" ", ""):
        is_digit = letter.isdigit() or letter == "."
        if words and is_digit == (words[-1][-1].isdigit() or words[-1][-1] == "."):
            words[-1] += letter
        else:
            words.append(letter)
    if not words or len(words) % 2:
        raise ValueError("expected a duration, as 90 s, 10 min, 2 h or 7 d")
    return words


class Curl(Protocol):
    """Makes the request to a path, as a program elsewhere sends it."""

    def __call__(self, method: str, path: str, body: Mapping[str, Any] | None = None, /) -> str: ...


def curl(call: Call[Any, Any, Any]) -> Curl:
    """For who asks: with a token, if they have one."""
    host = call.request.headers.get("host", "localhost")
    origin = f"{call.request.scope['scheme']}://{host}"
    has_token = call.identity.token is not None

    def made(method: str, path: str, body: Mapping[str, Any] | None = None, /) -> str:
        return faces.curl(method, origin + call.url(path), body, has_token=has_token)

    return made


def path(*parts: str) -> str:
    """A path of parts, each quoted."""
    return "".join(f"/{quote(part, safe='')}" for part in parts)
