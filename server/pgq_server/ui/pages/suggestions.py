"""`/ui/suggestions`: how the last word of the filter box may go on."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Annotated

from pydantic import Field
from starlette.responses import Response

from pgq_server.call import Call
from pgq_server.gateway import verb
from pgq_server.models.base import Text
from pgq_server.route import Route
from pgq_server.ui import filters, forms
from pgq_server.ui.page import HEADERS

MOST = 12


class Query(forms.Fields):
    """The word that is being typed."""

    word: Annotated[Text, Field(max_length=300)] = ""


async def suggest(call: Call[None, Query]) -> Response:
    """Keys, then values of the key."""
    queues, workers, tasks = await call.db.batch(
        verb("list_queues", ("queue", "ready")),
        verb("list_workers", ("id", "name", "state")),
        verb("list_tasks", ("task", "workers")),
    )
    values: dict[str, list[tuple[str, str]]] = {
        "state": [(state, "") for state in filters.STATES],
        "queue": [
            (row["queue"], f"{row['ready']:,} ready")
            for row in queues
            if call.identity.reaches(row["queue"])
        ],
        "worker": [(row["name"], row["state"]) for row in workers],
        "task": [(row["task"], "") for row in tasks],
        "created": [
            ("<10m", "younger than 10 minutes"),
            ("<1h", "younger than an hour"),
            (">1h", "older than an hour"),
            (">1d", "older than a day"),
        ],
    }
    found = list(_suggestions(call.query.word, values))[:MOST]
    content = {"suggestions": [{"text": text, "note": note} for text, note in found]}
    return Response(json.dumps(content), media_type="application/json", headers=HEADERS)


def _suggestions(word: str, values: dict[str, list[tuple[str, str]]]) -> Iterable[tuple[str, str]]:
    key, colon, begun = word.partition(":")
    begun = begun.strip('"').lower()
    if colon:
        for value, note in values.get(key, ()):
            if begun in value.lower() and value.lower() != begun:
                yield filters.word(key, value), note
        return
    for name, note in filters.KEYS.items():
        if name.startswith(key.lower()):
            yield (f"{name}." if name == "payload" else f"{name}:"), note
    if len(key) > 1:
        for name in ("task", "queue"):
            for value, _ in values[name]:
                if key.lower() in value.lower():
                    yield filters.word(name, value), ""


ROUTES = (
    Route(
        "GET",
        "/ui/suggestions",
        suggest,
        summary="How a word of the filter may go on",
        tag="dashboard",
        scopes=("view",),
        reach="handler",
        query=Query,
        media="application/json",
    ),
)
