"""Values whose names look secret do not leave the server."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable
from typing import Any

MASK = "••••••"
"""Stands in their place."""

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_SECRET = frozenset(
    {
        "password", "passwords", "passwd", "passphrase", "passcode", "pwd", "pw", "secret",
        "secrets", "token", "tokens", "credential", "credentials", "cred", "creds", "auth",
        "authorization", "authentication", "bearer", "cookie", "cookies", "jwt", "otp", "pin",
        "cvv", "cvc", "ssn", "iban", "signature", "apikey", "accesskey", "secretkey",
        "privatekey", "dsn",
    }
)  # fmt: skip
_SECRET_KEYS = frozenset(
    {"api", "access", "private", "secret", "encryption", "signing", "ssh", "master", "account"}
)
"""Before the word `key`."""


class Number(str):
    """A number as it was written, of which no digit is lost."""

    __slots__ = ()


def is_secret(name: str) -> bool:
    """Whether a name such as `db_password`, `apiKey` or `X-Auth-Token` tells of a secret."""
    words = [word.lower() for word in _WORDS.findall(name)]
    pairs = itertools.pairwise(words)
    return (
        not _SECRET.isdisjoint(words)
        or any(second in ("key", "keys") and first in _SECRET_KEYS for first, second in pairs)
        or "".join(words) in _SECRET
    )


def read(text: str) -> Any:
    """A JSON document, its numbers as `Number`. Raises ValueError where there is none."""
    try:
        return json.loads(text, parse_int=Number, parse_float=Number, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def write(value: Any, *, indent: int | None = None) -> str:
    """The document of what `read` made."""
    return "".join(_pieces(value, indent, 0))


def masked(value: Any) -> Any:
    """The same document with `MASK` under every name that looks secret."""
    if isinstance(value, dict):
        return {
            name: MASK if is_secret(name) and each is not None else masked(each)
            for name, each in value.items()
        }
    return [masked(each) for each in value] if isinstance(value, list) else value


def restored(value: Any, original: Any) -> Any:
    """An edited document, with what was masked as it is in the original."""
    if isinstance(value, dict) and isinstance(original, dict):
        return {
            name: original[name]
            if each == MASK and name in original and is_secret(name)
            else restored(each, original.get(name))
            for name, each in value.items()
        }
    if isinstance(value, list) and isinstance(original, list):
        padded = [*original, *[None] * (len(value) - len(original))]
        return [restored(each, old) for each, old in zip(value, padded, strict=False)]
    return value


def _pieces(value: Any, indent: int | None, depth: int) -> Iterable[str]:
    if isinstance(value, Number):
        yield str(value)
    elif isinstance(value, dict | list) and value:
        opening, closing = "{}" if isinstance(value, dict) else "[]"
        gap = "" if indent is None else "\n" + " " * indent * (depth + 1)
        yield opening
        for n, each in enumerate(value):
            yield ("," if indent is not None else ", ") + gap if n else gap
            if isinstance(value, dict):
                yield json.dumps(each, ensure_ascii=False) + ": "
                each = value[each]
            yield from _pieces(each, indent, depth + 1)
        yield ("" if indent is None else "\n" + " " * indent * depth) + closing
    else:
        yield json.dumps(value, ensure_ascii=False)


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")
