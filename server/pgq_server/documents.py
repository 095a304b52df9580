"""JSON as it comes in and goes out, with parts that stay as they were sent, letter by letter.

A payload's numbers may be longer than Python can read, and would not survive being read; so it is
checked, but kept as text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NoReturn, get_args, get_origin

from pydantic import (
    BaseModel,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    RootModel,
    SerializationInfo,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from pgq_server.problems import Refusal

_SPACE = re.compile(r"[ \t\n\r]*")
_SIMPLE_NAME = re.compile(r'"([^"\\\x00-\x1f]*)"[ \t\n\r]*:[ \t\n\r]*')
_MARK = re.compile(r"[ \t\n\r]*(.)[ \t\n\r]*", re.DOTALL)
_scanstring: Callable[[str, int], tuple[str, int]] = json.decoder.scanstring  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class RawJson:
    """Any JSON value, as text. A field of this type keeps what was sent as it was sent."""

    text: str

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """It is made by `decode` and by handlers, never from a Python value."""
        return core_schema.no_info_before_validator_function(
            _raw,
            core_schema.is_instance_schema(cls),
            serialization=core_schema.plain_serializer_function_ser_schema(
                _placeholder, info_arg=True, return_schema=core_schema.str_schema()
            ),
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Anything goes."""
        return {}


def _placeholder(value: RawJson, info: SerializationInfo[list[str] | None]) -> str:
    """Stands for the text until the rest is encoded."""
    if info.context is None:
        return value.text
    info.context.append(value.text)
    return f"\0{len(info.context) - 1}"


def _raw(value: object) -> object:
    return RawJson(value) if isinstance(value, str) else value


@dataclass(frozen=True, slots=True)
class Shape:
    """Which parts of a document stay text: members by name, or each element of an array."""

    members: Mapping[str, Shape]
    elements: bool = False
    raw: bool = False

    @property
    def is_plain(self) -> bool:
        """Whether nothing of it does."""
        return not self.raw and not self.members


@lru_cache
def shape_of(model: type[BaseModel]) -> Shape:
    """The shape of a model's documents; of a union, what any of its models wants."""
    if issubclass(model, RootModel):
        return _shape(model.model_fields["root"].annotation)
    found = {name: _shape(field.annotation) for name, field in model.model_fields.items()}
    return Shape({name: shape for name, shape in found.items() if not shape.is_plain})


def _shape(annotation: Any) -> Shape:
    if annotation is RawJson:
        return Shape({}, raw=True)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return shape_of(annotation)
    parts = [_shape(part) for part in get_args(annotation)]
    members = {name: shape for part in parts for name, shape in part.members.items()}
    is_list = get_origin(annotation) is list
    elements = is_list or any(part.elements for part in parts)
    return Shape(members, elements=elements, raw=any(part.raw for part in parts))


def decode(content: bytes, shape: Shape) -> Any:
    """The document of a request's body. Raises `Refusal` `malformed`."""
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise Refusal("malformed", f"The body is not UTF-8 at byte {error.start + 1}.") from None
    try:
        value, end = _value(text, _skip(text, 0), shape)
        if _skip(text, end) != len(text):
            raise json.JSONDecodeError("Extra data", text, _skip(text, end))
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise Refusal("malformed", f"The body is not JSON: {error.msg} at {where}.") from None
    except RecursionError:
        raise Refusal("malformed", "The body is nested too deeply.") from None
    except ValueError as error:
        raise Refusal("malformed", f"The body is not JSON: {_first_words(error)}.") from None
    return value


def encode(model: BaseModel) -> bytes:
    """A model as the body of an answer."""
    if shape_of(type(model)).is_plain:
        return model.model_dump_json().encode()
    kept: list[str] = []
    text = model.model_dump_json(context=kept)
    return re.sub(r'"\\u0000(\d+)"', lambda place: kept[int(place[1])], text).encode()


def _value(text: str, start: int, shape: Shape) -> tuple[Any, int]:
    if shape.elements and text.startswith("[", start):
        return _array(text, start + 1, Shape(shape.members, raw=shape.raw))
    if shape.raw:
        _, end = _scan(_CHECKING, text, start)
        return RawJson(text[start:end]), end
    if shape.members and text.startswith("{", start):
        return _object(text, start + 1, shape)
    return _scan(_READING, text, start)


def _array(text: str, at: int, element: Shape) -> tuple[list[Any], int]:
    values: list[Any] = []
    at = _skip(text, at)
    if text.startswith("]", at):
        return values, at + 1
    while True:
        value, at = _value(text, at, element)
        values.append(value)
        mark, at = _mark(text, at)
        if mark == "]":
            return values, at
        if mark != ",":
            raise json.JSONDecodeError("Expecting , or ]", text, at - 1)


def _object(text: str, at: int, shape: Shape) -> tuple[dict[str, Any], int]:
    values: dict[str, Any] = {}
    members = shape.members
    at = _skip(text, at)
    if text.startswith("}", at):
        return values, at + 1
    while True:
        name, at = _name(text, at)
        if name in values:
            raise json.JSONDecodeError(f"A second member {name[:100]!r}", text, at)
        if name in members:
            values[name], at = _value(text, at, members[name])
        else:
            values[name], at = _scan(_READING, text, at)
        mark, at = _mark(text, at)
        if mark == "}":
            return values, at
        if mark != ",":
            raise json.JSONDecodeError("Expecting , or }", text, at - 1)


def _name(text: str, at: int) -> tuple[str, int]:
    """The name of a member, and where its value begins."""
    if match := _SIMPLE_NAME.match(text, at):
        return match[1], match.end()
    name, at = _scanstring(text, _expect('"', text, at))
    return name, _skip(text, _expect(":", text, _skip(text, at)))


def _mark(text: str, at: int) -> tuple[str, int]:
    """The character after a value, and where what follows begins."""
    match = _MARK.match(text, at)
    return (match[1], match.end()) if match else ("", len(text))


def _scan(decoder: json.JSONDecoder, text: str, start: int) -> tuple[Any, int]:
    try:
        return decoder.scan_once(text, start)  # type: ignore[attr-defined,no-any-return]
    except StopIteration as stop:
        raise json.JSONDecodeError("Expecting value", text, stop.value) from None


def _skip(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    assert match
    return match.end()


def _expect(mark: str, text: str, at: int) -> int:
    if not text.startswith(mark, at):
        raise json.JSONDecodeError(f"Expecting {mark}", text, at)
    return at + 1


def _number(text: str) -> int | float:
    """`4.0` is a whole number."""
    value = float(text)
    return int(value) if value.is_integer() else value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _first_words(error: ValueError) -> str:
    return str(error).partition(";")[0]


_PLAIN = Shape({})
_READING = json.JSONDecoder(parse_float=_number, parse_constant=_refuse_constant)
_CHECKING = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=_refuse_constant)
