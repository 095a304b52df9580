"""Reads what comes in, into the models that a route declares. Raises `Refusal`."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, get_args, get_origin
from urllib.parse import parse_qsl, unquote_to_bytes

from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect, Request

from pgq import traces
from pgq.traces import Trace
from pgq_server import documents, faults
from pgq_server.models.seeds import AnyNewJob
from pgq_server.problems import Refusal, invalid, refused
from pgq_server.route import Route


def path_of(request: Request, route: Route) -> BaseModel | None:
    """The parameters in the path."""
    if route.path_model is None:
        return None
    values = {}
    for name, text in request.path_params.items():
        try:
            values[name] = unquote_to_bytes(text).decode()
        except UnicodeDecodeError:
            raise Refusal("malformed", f"path.{name} is not UTF-8.") from None
    return _checked(route.path_model, values, "path")


def query_of(request: Request, route: Route) -> BaseModel | None:
    """The parameters after the question mark."""
    model = route.query
    if model is None and not request.scope["query_string"]:
        return None
    values: dict[str, Any] = {}
    many = _lists(model) if model else frozenset()
    for name, text in request.query_params.multi_items():
        if name in many:
            values.setdefault(name, []).append(text)
        elif name in values:
            raise invalid(f"query.{name}", "given twice; expected it once")
        else:
            values[name] = text
    if model is None:
        if not values:
            return None
        model = _Nothing
    checked = _checked(model, values, "query")
    return None if route.query is None else checked


def trace_of(request: Request) -> Trace | None:
    """Where a request stands in a trace."""
    parents = request.headers.getlist(traces.PARENT)
    if len(parents) != 1:  # several contradict each other
        return None
    return traces.parse(parents[0], ",".join(request.headers.getlist(traces.STATE)))


async def body_of(request: Request, route: Route, limit: int) -> tuple[BaseModel | None, bytes]:
    """The body, and the bytes that it was."""
    content = await _content(request, limit)
    if route.body is None:
        if content:
            raise invalid("body", "this route takes none; leave it out")
        return None, b""
    if route.form:
        value = _form_of(request, content, _lists(route.body))
    elif content:
        _check_type(request)
        value = documents.decode(content, documents.shape_of(route.body))
    else:
        value = {}
    return _checked(route.body, value, "body"), content


def _form_of(request: Request, content: bytes, many: frozenset[str]) -> dict[str, Any]:
    kind = request.headers.get("content-type", "").partition(";")[0]
    if content and kind.strip().lower() != "application/x-www-form-urlencoded":
        raise Refusal("unsupported-media-type", "The body is not sent as a form.")
    try:
        pairs = parse_qsl(content.decode(), errors="strict", max_num_fields=2000)
    except ValueError:
        raise Refusal("malformed", "The body is no form.") from None
    values: dict[str, Any] = {}
    for name, text in pairs:
        if name in many:
            values.setdefault(name, []).append(text)
        else:
            values[name] = text
    return values


def _check_type(request: Request) -> None:
    kind, _, parameters = request.headers.get("content-type", "").partition(";")
    charset = parameters.replace(" ", "").lower()
    if kind.strip().lower() != "application/json" or charset not in ("", "charset=utf-8"):
        raise Refusal(
            "unsupported-media-type",
            "The body is not sent as application/json.",
            hint="Send `Content-Type: application/json`.",
        )
    if request.headers.get("content-encoding", "identity") != "identity":
        raise Refusal("unsupported-media-type", "The body is compressed; send it as it is.")


async def _content(request: Request, limit: int) -> bytes:
    declared = request.headers.get("content-length", "0")
    if declared.isdigit() and int(declared) > limit:
        raise _too_large(limit)
    content = bytearray()
    try:
        async for chunk in request.stream():
            content += chunk
            if len(content) > limit:
                raise _too_large(limit)
    except ClientDisconnect:
        raise Refusal("malformed", "The body ended early.") from None
    return bytes(content)


def _too_large(limit: int) -> Refusal:
    return Refusal(
        "too-large",
        f"The body is larger than {limit:,} bytes.",
        headers={"Connection": "close"},
    )


class _Nothing(BaseModel, extra="forbid"):
    """No parameter at all."""


def _checked(model: type[BaseModel], values: object, where: str) -> BaseModel:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise refused(*faults.found(_model(model, values), error, where)) from None


def _model(model: type[BaseModel], values: object) -> type[BaseModel]:
    """The one of a union's models that refused the values."""
    return model.model_of(values) if issubclass(model, AnyNewJob) else model


@lru_cache
def _lists(model: type[BaseModel]) -> frozenset[str]:
    return frozenset(
        name
        for name, field in model.model_fields.items()
        if any(get_origin(kind) is list for kind in (field.annotation, *get_args(field.annotation)))
    )
