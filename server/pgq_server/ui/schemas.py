"""Forms from the JSON Schemas of tasks, and payloads from the forms."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pgq_server import masking

Kind = Literal["text", "number", "integer", "yes", "choice", "json"]
PREFIX = "argument."
MOST = 40
"""Fields; a task with more is entered as JSON."""


@dataclass(frozen=True)
class Field:
    """One argument of a task."""

    name: str
    kind: Kind
    words: str
    hint: str
    required: bool
    default: str
    choices: Sequence[str] = ()

    @property
    def key(self) -> str:
        """Its name in the form."""
        return PREFIX + self.name


def fields(schema: object) -> list[Field] | None:
    """The fields of a task's arguments; None where only JSON can tell them."""
    if not isinstance(schema, dict):
        return None
    properties = schema.get("properties")
    if not isinstance(properties, dict) or len(properties) > MOST:
        return None
    required = schema.get("required")
    needed = required if isinstance(required, list) else []
    definitions = schema.get("$defs")
    known = definitions if isinstance(definitions, dict) else {}
    return [
        _field(str(name), _resolved(each, known), name in needed)
        for name, each in properties.items()
    ]


def payload(form: Mapping[str, str], known: Sequence[Field]) -> str:
    """The payload that a form says. Raises ValueError, naming the field."""
    values: dict[str, Any] = {}
    for field in known:
        text = form.get(field.key)
        if field.kind == "yes":
            values[field.name] = text is not None
        elif text is None and field.required and field.kind == "text":
            values[field.name] = ""
        elif text is None:
            if field.required:
                raise ValueError(f"{field.name}: needs a value")
        else:
            values[field.name] = _value(field, text)
    return masking.write(values)


def _field(name: str, schema: Mapping[str, Any], required: bool) -> Field:
    default = schema.get("default")
    kind, choices = _kind(schema)
    shown = ""
    if default is not None:
        shown = (
            default
            if kind in ("text", "choice") and isinstance(default, str)
            else json.dumps(default)
        )
    words = schema.get("title")
    hint = schema.get("description")
    return Field(
        name=name,
        kind=kind,
        words=words if isinstance(words, str) else name,
        hint=hint if isinstance(hint, str) else _hint(kind),
        required=required,
        default=shown,
        choices=choices,
    )


def _kind(schema: Mapping[str, Any]) -> tuple[Kind, Sequence[str]]:
    choices = schema.get("enum")
    if isinstance(choices, list) and choices and all(isinstance(each, str) for each in choices):
        return "choice", choices
    kinds: Mapping[str, Kind] = {
        "string": "text",
        "integer": "integer",
        "number": "number",
        "boolean": "yes",
    }
    kind = schema.get("type")
    return kinds.get(kind, "json") if isinstance(kind, str) else "json", ()


def _resolved(schema: object, known: Mapping[str, Any]) -> Mapping[str, Any]:
    """Without a reference, and of `X or null` the X."""
    if not isinstance(schema, dict):
        return {}
    reference = schema.get("$ref")
    if isinstance(reference, str):
        found = known.get(reference.removeprefix("#/$defs/"))
        return {**found, **schema} if isinstance(found, dict) else schema
    options = schema.get("anyOf")
    if isinstance(options, list):
        real = [each for each in options if isinstance(each, dict) and each.get("type") != "null"]
        if len(real) == 1 and len(options) == 2:
            rest = {name: each for name, each in schema.items() if name != "anyOf"}
            return {**real[0], **rest}
    return schema


def _hint(kind: Kind) -> str:
    return {"json": "JSON", "integer": "a whole number", "number": "a number"}.get(kind, "")


def _value(field: Field, text: str) -> Any:
    if field.kind in ("text", "choice"):
        return text
    try:
        value = masking.read(text)
    except ValueError as error:
        expected = field.hint or "JSON"
        raise ValueError(f"{field.name}: {error}; expected {expected}") from None
    if field.kind in ("number", "integer") and not isinstance(value, masking.Number):
        raise ValueError(f"{field.name}: expected {_hint(field.kind)}")
    return value
