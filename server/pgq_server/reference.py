"""What stands in docs/http.md and docs/openapi.json, made of the table of routes.

python -m pgq_server.reference docs
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import BaseModel, RootModel

from pgq import traces
from pgq_server import problems, replays
from pgq_server.openapi import DESCRIPTION, TAGS, Json, document, listed
from pgq_server.problems import KINDS
from pgq_server.route import Route
from pgq_server.routes import TABLE


def openapi_json() -> str:
    """docs/openapi.json."""
    return json.dumps(document(TABLE), indent=1, ensure_ascii=False) + "\n"


def http_md() -> str:
    """docs/http.md."""
    return "\n".join(_reference(listed(TABLE)))


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
            (route.traced, f"passes `{traces.PARENT}` and `{traces.STATE}` on to its jobs"),
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


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    (folder / "openapi.json").write_text(openapi_json())
    (folder / "http.md").write_text(http_md())
