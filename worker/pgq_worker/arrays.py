"""Arrays for statements that carry hundreds of values: as Postgres writes or as it receives them.

Those of each job that ends go in binary: a text of 500 floats takes longer to make than their jobs
take to be found.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterable

import psycopg
from psycopg import postgres
from psycopg.abc import Buffer
from psycopg.adapt import Dumper
from psycopg.pq import Format

_HEAD = struct.Struct("!iiIii")
_UUID_SIZE = struct.pack("!i", 16)


class Binary(bytes):
    """An array as Postgres receives it."""


class Bigints(Binary):
    """A `bigint[]`."""


class Doubles(Binary):
    """A `double precision[]`."""


class Uuids(Binary):
    """A `uuid[]`."""


def bigints(values: Collection[int]) -> Bigints:
    """Of integers, none null."""
    return Bigints(_packed("int8", "q", values))


def doubles(values: Collection[float]) -> Doubles:
    """Of floats, none null."""
    return Doubles(_packed("float8", "d", values))


def uuids(values: Collection[bytes]) -> Uuids:
    """Of UUIDs, which come as their 16 bytes."""
    elements = (_UUID_SIZE + _UUID_SIZE.join(values)) if values else b""
    return Uuids(_head("uuid", len(values)) + elements)


def _packed(name: str, code: str, values: Collection[float]) -> bytes:
    elements: list[float] = [8] * (2 * len(values))
    elements[1::2] = values
    return _head(name, len(values)) + struct.pack("!" + f"i{code}" * len(values), *elements)


def _head(name: str, length: int) -> bytes:
    """One dimension, which counts from 1, and no nulls."""
    return _HEAD.pack(1, 0, postgres.types[name].oid, length, 1)


def numbers(values: Iterable[float | None]) -> str:
    """Of integers or floats, which may be null."""
    return "{" + ",".join(["null" if value is None else str(value) for value in values]) + "}"


def flags(values: Iterable[bool]) -> str:
    return "{" + ",".join(["t" if value else "f" for value in values]) + "}"


def texts(values: Iterable[str | None]) -> str:
    """Of strings, which may hold anything; what no Postgres text can hold is replaced."""
    return "{" + ",".join(["null" if value is None else _quoted(value) for value in values]) + "}"


def plain(values: Iterable[str]) -> str:
    """Of strings without quotes, commas, braces or backslashes, such as words."""
    return "{" + ",".join(values) + "}"


def clean(text: str) -> str:
    """What Postgres can store: without NUL and lone surrogates."""
    if text.isascii():
        return text.replace("\x00", "�") if "\x00" in text else text
    return text.replace("\x00", "�").encode("utf-8", "replace").decode("utf-8")


def _quoted(value: str) -> str:
    return '"' + clean(value).replace("\\", "\\\\").replace('"', '\\"') + '"'


class _Dumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: Binary) -> Buffer:
        return obj


for _kind, _name in ((Bigints, "int8"), (Doubles, "float8"), (Uuids, "uuid")):
    _members = {"oid": postgres.types[_name].array_oid}
    psycopg.adapters.register_dumper(_kind, type(f"{_kind.__name__}Dumper", (_Dumper,), _members))
