"""The OpenAPI document and the reference in docs/http.md, both made of the table of routes.

python -m pgq_server.openapi docs        # writes docs/openapi.json and docs/http.md
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import BaseModel, RootModel, ValidationError
from pydantic.json_schema import models_json_schema

from pgq_server import problems, replays, routes
from pgq_server.problems import KINDS, Name, Problem
from pgq_server.routes import EVENTS, JSON, Route

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


def document(prefix: str = "") -> Json:
    """The document of a server that is shown below a prefix."""
    shown = listed()
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


def listed() -> list[Route]:
    """The routes that programs use."""
    return [route for route in routes.table() if route.tag in TAGS]


def reference() -> str:
    """docs/http.md."""
    return "\n".join(_reference(listed()))


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
    words = re.findall(r"\w+", route.path.removeprefix(routes.API))
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


def _reference(shown: Sequence[Route]) -> Iterator[str]:
    yield "# The HTTP API"
    yield ""
    yield "Made from the table of routes by `make reference`; do not edit."
    yield ""
    yield f"{DESCRIPTION} The whole, with every field, is in [openapi.json](openapi.json), which a"
    yield "running server shows at `/docs`."
    for tag, text in TAGS.items():
        of_tag = [route for route in shown if route.tag == tag]
        if not of_tag:
            continue
        yield from ("", f"## {tag.capitalize()}", "", text, "")
        yield "| | | scope |"
        yield "|---|---|---|"
        for route in of_tag:
            yield _row(route)
        for route in of_tag:
            yield from _section(route)
    yield from ("", "## Problems", "", "| type | status | |", "|---|---|---|")
    for name, kind in KINDS.items():
        yield f"| `{problems.PREFIX}{name}` | {kind.status} | {kind.title} |"
    yield ""


def _row(route: Route) -> str:
    scope = "everyone" if route.is_public else ", ".join(route.scopes)
    return f"| `{route.method} {route.path}` | {route.summary} | {scope} |"


def _section(route: Route) -> Iterator[str]:
    yield from ("", f"### {route.method} {route.path}", "", f"{route.summary}.")
    if route.description:
        yield from ("", route.description)
    fields = [(where, each) for where, model in _inputs(route) for each in _fields(model)]
    if fields:
        yield from ("", "| in | field | what | |", "|---|---|---|---|")
        for where, (name, kind, text) in fields:
            yield f"| {where} | `{name}` | {kind} | {text} |"
    answers = [
        f"{status} {model.__name__ if model else ''}".strip()
        for status, model in ((route.status, route.answer), *route.also)
    ]
    extras = [
        text
        for wanted, text in (
            (route.idempotent, f"takes `{replays.HEADER}`"),
            (route.etag, "has an ETag"),
        )
        if wanted
    ]
    yield ""
    yield f"Answers {', or '.join(answers)}{''.join(f'; {text}' for text in extras)}."
    names = [name for name in route.problems() if name in route.errors]
    if names:
        yield f"Problems of its own: {', '.join(f'`{name}`' for name in names)}."


def _inputs(route: Route) -> Iterator[tuple[str, type[BaseModel]]]:
    for where, model in (("path", route.path_model), ("query", route.query), ("body", route.body)):
        if model is not None:
            yield where, model


def _fields(model: type[BaseModel]) -> Iterator[tuple[str, str, str]]:
    schema = model.model_json_schema()
    if issubclass(model, RootModel):  # the first of its alternatives
        defined = schema["$defs"]
        schema = {**defined[_kind(schema["oneOf"][0], defined)], "$defs": defined}
    required = schema.get("required", ())
    for name, found in schema.get("properties", {}).items():
        kind = _kind(found, schema.get("$defs", {}))
        if name in required:
            kind += ", required"
        elif found.get("default") is not None:
            kind += f", {json.dumps(found['default'])} unless given"
        yield name, kind.replace("|", "\\|"), found.get("description", "").replace("|", "\\|")


def _kind(schema: Json, defined: Json) -> str:
    if "anyOf" in schema:
        kinds = [_kind(each, defined) for each in schema["anyOf"] if each.get("type") != "null"]
        nullable = any(each.get("type") == "null" for each in schema["anyOf"])
        return " or ".join(kinds) + (" or null" if nullable else "")
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    if "enum" in schema:
        return ", ".join(f"`{each}`" for each in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_kind(schema['items'], defined)}"
    is_time = schema.get("format") == "date-time"
    kind = "time" if is_time else str(schema.get("type", "any JSON"))
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None and high < 2**31:
        kind += f" {low:g} to {high:g}"
    return kind


def write(folder: Path) -> None:
    """Write both files."""
    (folder / "openapi.json").write_text(text())
    (folder / "http.md").write_text(reference())


def text() -> str:
    """docs/openapi.json."""
    return json.dumps(document(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    write(Path(sys.argv[1]))
