"""The kinds of values that models are made of.

Ids are numbers, times RFC 3339, durations numbers of seconds in fields named `*_seconds`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Annotated, Any, TypeVar, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    PlainSerializer,
    WithJsonSchema,
)
from pydantic.config import JsonDict
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from pgq.job import State
from pgq_server.documents import RawJson

M = TypeVar("M", bound=BaseModel)

LONGEST = 36_500 * 86_400.0
"""Seconds."""
_INSTANT = re.compile(
    r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)


class Request(BaseModel):
    """What comes in: exactly as described, and nothing else."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Reply(BaseModel):
    """What goes out."""

    model_config = ConfigDict(frozen=True)


def _instant(value: object) -> object:
    if not isinstance(value, str):
        return value
    if not _INSTANT.fullmatch(value):
        raise ValueError("expected a time as in RFC 3339, as 2030-01-31T09:30:00Z")
    try:
        return datetime.fromisoformat(value.upper())
    except ValueError as error:
        raise ValueError(f"no such time: {error}") from None


def _utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("expected a time of the years 1 to 9999") from None


def _seconds(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    if not 0 <= value <= LONGEST:
        raise ValueError(f"expected 0 to {LONGEST:.0f} seconds")
    return timedelta(seconds=value)


def _positive(value: object) -> object:
    found = _seconds(value)
    if isinstance(found, timedelta) and not value:
        raise ValueError("expected more than 0 seconds")
    return max(found, timedelta.resolution) if isinstance(found, timedelta) else found


def _object(value: RawJson) -> RawJson:
    if not value.text.startswith("{"):
        raise ValueError("expected an object")
    return value


def _none(value: object) -> object:
    return None if value == RawJson("null") else value


def sound(value: str) -> str:
    """Text that Postgres can keep."""
    if "\0" in value:
        raise ValueError("expected text without the character U+0000")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("expected whole Unicode characters") from None
    return value


def whole(value: object) -> object:
    """A whole number in a path or query."""
    if isinstance(value, str):
        if not re.fullmatch(r"-?[0-9]{1,4000}", value):
            raise ValueError("expected a whole number")
        return int(value)
    return value


def like(pattern: str, what: str) -> Callable[[object], object]:
    """A validator of texts, which says what was expected in place of the pattern."""

    def check(value: object) -> object:
        if isinstance(value, str) and not re.fullmatch(pattern, value):
            raise ValueError(f"expected {what}")
        return value

    return check


def _flag(value: object) -> object:
    if isinstance(value, str):
        if value not in ("true", "false"):
            raise ValueError("expected true or false")
        return value == "true"
    return value


class _Whole:
    """Says in the schema what `sound` refuses."""

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"pattern": "^[^\\u0000]*$", **handler(schema)}


Text = Annotated[str, AfterValidator(sound), _Whole()]
Name = Annotated[Text, Field(min_length=1, max_length=200)]
Instant = Annotated[
    datetime,
    BeforeValidator(_instant),
    AfterValidator(_utc),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
Seconds = Annotated[
    timedelta,
    BeforeValidator(_seconds),
    PlainSerializer(timedelta.total_seconds, return_type=float),
    WithJsonSchema({"type": "number", "minimum": 0, "maximum": LONGEST}),
]
Positive = Annotated[
    timedelta,
    BeforeValidator(_positive),
    PlainSerializer(timedelta.total_seconds, return_type=float),
    WithJsonSchema({"type": "number", "exclusiveMinimum": 0, "maximum": LONGEST}),
]
"""Seconds, more than none."""
RawObject = Annotated[RawJson, AfterValidator(_object), WithJsonSchema({"type": "object"})]
"""An object, kept as sent."""
MaybeObject = Annotated[RawObject | None, BeforeValidator(_none)]
"""One that may be null."""
Id = Annotated[int, Field(ge=1, le=2**53 - 1), BeforeValidator(whole)]
Limit = Annotated[int, Field(ge=1, le=1000), BeforeValidator(whole)]
Flag = Annotated[bool, BeforeValidator(_flag)]


__all__ = [
    "Empty", "Flag", "Id", "Instant", "JobPath", "Limit", "MaybeObject", "Name", "Positive",
    "QueuePath",
    "RawJson", "RawObject", "Reply", "Request", "Seconds", "State", "Text", "both", "check_some",
    "columns_of", "given", "like", "sound", "whole",
]  # fmt: skip


def given(name: str) -> JsonDict:
    """The JSON Schema of objects that have this member, and it is not null."""
    return {"required": [name], "properties": {name: {"not": {"type": "null"}}}}


def both(first: str, second: str) -> JsonDict:
    """The JSON Schema of objects that have both members."""
    return {"allOf": [given(first), given(second)]}


class JobPath(Request):
    """Names a job."""

    id: Id


class QueuePath(Request):
    """Names a queue."""

    queue: Name


class Empty(Request):
    """Nothing to say: the body may be left out."""


def check_some(model: M) -> M:
    """Refuse a body that asks for nothing. Raises ValueError."""
    if not model.model_fields_set:
        raise ValueError(f"nothing to change; give some of {', '.join(type(model).model_fields)}")
    return model


@lru_cache
def columns_of(model: type[BaseModel]) -> tuple[str, ...]:
    """The columns of a verb that a model's fields are read from, in its fields' order.

    A field `x_seconds` is column x; JSON comes as text.
    """
    return tuple(_column(name, field.annotation) for name, field in model.model_fields.items())


def _column(name: str, annotation: Any) -> str:
    if annotation is RawJson or RawJson in get_args(annotation):
        return f"{name}::text"
    if name.endswith("_seconds"):
        return f"{name.removesuffix('_seconds')} as {name}"
    return name
