"""The OpenAPI document, made of the table of routes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import version
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.json_schema import models_json_schema

from pgq import traces
from pgq_server import problems, replays
from pgq_server.problems import KINDS, Name, Problem
from pgq_server.route import API, EVENTS, JSON, Route

Json = dict[str, Any]

REFERENCE = "#/components/schemas/{model}"
DESCRIPTION = (
    "A job queue that is only Postgres. Ids are numbers, times are as in RFC 3339, durations are "
    "numbers of seconds. Errors are problems as in RFC 9457. Lists go on with `cursor`."
)
OLDER = "older shapes"
TAGS = {
    "jobs": "What is to be done, and what came of it.",
    "queues": "Where jobs wait.",
    "workers": "Who runs them.",
    "leases": "Running jobs over HTTP, in any language.",
    "dead letters": "Jobs that will not be tried again unless somebody asks.",
    "operations": "One verb on many jobs.",
    "service": "The service itself.",
    OLDER: "Those of the systems that this one takes the place of. Ids are strings.",
}


def document(table: Iterable[Route], prefix: str = "") -> Json:
    """The document of a server that is shown below a prefix."""
    shown = listed(table)
    return {
        "openapi": "3.1.0",
        "info": {"title": "pgq", "version": version("pgq-service"), "description": DESCRIPTION},
        "servers": [{"url": prefix or "/"}],
        "tags": [{"name": name, "description": text} for name, text in TAGS.items()],
        "paths": _paths(shown),
        "components": {
            "schemas": _schemas(shown),
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "Made by `pgq token create`; its scopes say what it may do.",
                }
            },
        },
    }


def listed(table: Iterable[Route]) -> list[Route]:
    """The routes that programs use."""
    return [route for route in table if route.tag in TAGS]


def _paths(shown: Iterable[Route]) -> Json:
    paths: Json = {}
    for route in shown:
        path = re.sub(r"{(\w+):path}", r"{\1}", route.path)
        paths.setdefault(path, {})[route.method.lower()] = _operation(route)
    return paths


def _operation(route: Route) -> Json:
    operation: Json = {
        "operationId": operation_id(route),
        "summary": route.summary,
        "tags": [route.tag],
        "security": [] if route.is_public else [{"token": list(route.scopes)}, {}],
        "parameters": list(_parameters(route)),
        "responses": _responses(route),
    }
    if description := _described(route):
        operation["description"] = description
    if route.body is not None:
        operation["requestBody"] = {
            "required": _is_needed(route.body),
            "content": {JSON: {"schema": _reference_to(route.body)}},
        }
    return operation


def operation_id(route: Route) -> str:
    """A name for generated clients: `get_jobs_id_logs`."""
    words = re.findall(r"\w+", route.path.removeprefix(API))
    if route.tag == OLDER:
        words.insert(0, "old")
    return "_".join([route.method.lower(), *words])


def _described(route: Route) -> str:
    parts = [route.description]
    if not route.is_public:
        parts.append(f"Scope: {' or '.join(f'`{scope}`' for scope in route.scopes)}.")
    return " ".join(part for part in parts if part)


def _is_needed(body: type[BaseModel]) -> bool:
    try:
        body.model_validate({})
    except ValidationError:
        return True
    return False


def _reference_to(model: type[BaseModel]) -> Json:
    return {"$ref": REFERENCE.format(model=model.__name__)}


def _parameters(route: Route) -> Iterator[Json]:
    for model, where in ((route.path_model, "path"), (route.query, "query")):
        if model is None:
            continue
        schema = _inlined(model)
        for name, found in schema.get("properties", {}).items():
            yield _parameter(name, where, found, required=name in schema.get("required", ()))
    if route.idempotent:
        yield _parameter(
            replays.HEADER,
            "header",
            {
                "type": "string",
                "pattern": "^[!-~]{1,255}$",
                "description": "The same request with the same key gets the first answer again.",
            },
        )
    if route.traced:
        for name, text in (
            (traces.PARENT, "As in W3C Trace Context; it goes into the job's headers."),
            (traces.STATE, "What belongs to it."),
        ):
            yield _parameter(name, "header", {"type": "string", "description": text})
    if route.etag:
        found = {"type": "string", "description": "An earlier ETag."}
        yield _parameter("If-None-Match", "header", found)


def _parameter(name: str, where: str, schema: Json, *, required: bool = False) -> Json:
    schema = {key: value for key, value in schema.items() if key not in ("title", "default")} | {
        key: schema[key] for key in ("default",) if schema.get(key) is not None
    }
    choices = [each for each in schema.pop("anyOf", []) if each.get("type") != "null"]
    if choices:
        schema |= choices[0]
    described = {"description": text} if (text := schema.pop("description", None)) else {}
    return {"name": name, "in": where, "required": required, **described, "schema": schema}


def _inlined(model: type[BaseModel]) -> Json:
    schema = model.model_json_schema(ref_template=REFERENCE)
    assert "$defs" not in schema, f"{model.__name__} is not flat"
    return schema


def _responses(route: Route) -> Json:
    responses: Json = {}
    for status, model in ((route.status, route.answer), *route.also):
        responses[str(status)] = _success(route, status, model)
    if route.etag:
        responses["304"] = {"description": "Unchanged since that ETag."}
    by_status: dict[int, list[Name]] = {}
    for name in route.problems():
        by_status.setdefault(KINDS[name].status, []).append(name)
    for status in sorted(by_status):
        responses[str(status)] = _refused(by_status[status])
    return responses


def _success(route: Route, status: int, model: type[BaseModel] | None) -> Json:
    response: Json = {"description": "Done." if model is None else _doc(model)}
    if model is not None:
        response["content"] = {JSON: {"schema": _reference_to(model)}}
    elif route.media == EVENTS:
        response["description"] = "Events, until the client or the server ends."
        response["content"] = {EVENTS: {"schema": {"type": "string"}}}
    elif route.media != JSON:
        response["content"] = {route.media: {"schema": {"type": "string"}}}
    headers = {}
    if status in (201, 202):
        headers["Location"] = "Where it is."
    if route.etag:
        headers["ETag"] = "For If-None-Match."
    if headers:
        response["headers"] = {
            name: {"description": text, "schema": {"type": "string"}}
            for name, text in headers.items()
        }
    return response


def _refused(names: Sequence[Name]) -> Json:
    types = [f"{problems.PREFIX}{name}" for name in names]
    return {
        "description": "; or ".join(KINDS[name].title for name in names) + ".",
        "content": {
            problems.MEDIA_TYPE: {
                "schema": {
                    "allOf": [_reference_to(Problem), {"properties": {"type": {"enum": types}}}]
                }
            }
        },
    }


def _schemas(shown: Sequence[Route]) -> Json:
    taken: dict[type[BaseModel], str] = {}
    for route in shown:
        if route.body is not None:
            taken[route.body] = "validation"
        for model in (route.answer, *(also for _, also in route.also)):
            if model is not None:
                taken[model] = "serialization"
    taken[Problem] = "serialization"
    pairs = list(taken.items())
    _, schema = models_json_schema(pairs, ref_template=REFERENCE)  # type: ignore[arg-type]
    return {name: _untitled(found) for name, found in sorted(schema["$defs"].items())}


def _untitled(schema: Any) -> Any:
    """Without the titles that only repeat names."""
    if isinstance(schema, list):
        return [_untitled(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        name: {each: _untitled(part) for each, part in value.items()}
        if name == "properties"
        else _untitled(value)
        for name, value in schema.items()
        if not (name == "title" and isinstance(value, str))
    }


def _doc(model: type[BaseModel]) -> str:
    return " ".join((model.__doc__ or "").partition("\n\n")[0].split())
