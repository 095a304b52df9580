"""What is wrong with a request, in words: where it stands, what was expected, and what came."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from pgq_server import masking
from pgq_server.documents import RawJson
from pgq_server.problems import Invalid

OTHER = "another value"
LONGEST = 60
"""Characters of a value that are shown."""

_CONTENTS = frozenset(
    {"payload", "headers", "result", "value", "command", "error", "message", "traceback", "cursor"}
)
"""Names under which the users' own data stand, which is nobody else's business."""
_KINDS = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "string_unicode": "whole Unicode characters",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
    "datetime_type": "a time as in RFC 3339, as 2030-01-31T09:30:00Z",
    "time_delta_type": "a number of seconds",
    "is_instance_of": "JSON",
    "literal_error": "{expected}",
    "string_too_short": "at least {min_length}",
    "string_too_long": "at most {max_length}",
    "too_short": "at least {min_length}",
    "too_long": "at most {max_length}",
    "greater_than": "more than {gt}",
    "greater_than_equal": "{ge} or more",
    "less_than_equal": "{le} or less",
}
"""What is expected where pydantic finds this kind of error."""


def found(model: type[BaseModel], error: ValidationError, where: str) -> list[Invalid]:
    """Each value that the model refused."""
    return [
        Invalid(location=_location(where, part["loc"]), message=_message(model, part))
        for part in error.errors(include_url=False)
    ]


def _location(where: str, parts: Sequence[int | str]) -> str:
    return ".".join([where, *(str(part)[:200] for part in parts)])


def _message(model: type[BaseModel], part: Mapping[str, Any]) -> str:
    kind, place, context = part["type"], part["loc"], part.get("ctx", {})
    if kind == "missing":
        return "missing"
    if kind == "extra_forbidden":
        return f"unknown{_known(model, place[:-1])}"
    if kind == "value_error":
        wanted = str(context["error"])
    elif context.get("class") == "UUID":
        wanted = "expected a UUID"
    else:
        bounds = {name: _bound(name, value, part["input"]) for name, value in context.items()}
        wanted = f"expected {_KINDS.get(kind, OTHER).format(**bounds)}"
    value = part["input"]
    if isinstance(value, BaseModel | dict) and kind == "value_error":
        return wanted
    if any(name in _CONTENTS or masking.is_secret(name) for name in map(str, place)):
        return f"{wanted}; got {_kind(value)}"
    return f"{wanted}; got {shown(value)}"


def shown(value: object) -> str:
    """A value that is no secret, cut when it is long; what has parts only as what it is."""
    if not isinstance(value, str | int | float | None):
        return _kind(value)
    text = json.dumps(value, ensure_ascii=False).encode(errors="replace").decode()
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def _kind(value: object) -> str:
    if isinstance(value, RawJson):
        value = {"[": [], "{": {}, '"': ""}.get(value.text[:1], 0)
    kinds = {dict: "an object", list: "a list", str: "a text", bool: "true or false"}
    return "null" if value is None else kinds.get(type(value), "a number")


def _bound(name: str, bound: object, value: object) -> object:
    if isinstance(bound, timedelta):
        return f"{bound.total_seconds():g} seconds"
    if name in ("min_length", "max_length"):
        unit = "character" if isinstance(value, str) else "element"
        return f"{bound} {unit}{'' if bound == 1 else 's'}"
    return bound


def _known(model: type[BaseModel], place: Sequence[int | str]) -> str:
    """What would be known there."""
    here: type[BaseModel] | None = model
    for name in place:
        if here is None:
            return ""
        if isinstance(name, str):
            field = here.model_fields.get(name)
            here = _model(field.annotation) if field else None
    names = list(here.model_fields) if here else []
    return f"; expected some of {', '.join(names)}" if names else "; expected none"


def _model(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_model, get_args(annotation))), None)
