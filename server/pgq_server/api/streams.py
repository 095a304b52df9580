"""What goes on, as it happens: server-sent events."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator, Field

from pgq_server.call import Call
from pgq_server.models.base import JobPath, Request, whole
from pgq_server.problems import invalid
from pgq_server.route import API, EVENTS, Route
from pgq_server.streams import EventStream

LAST_EVENT = "Last-Event-ID"


class LogStart(Request):
    """Where to begin."""

    after: Annotated[int, Field(ge=0, le=2**31 - 1), BeforeValidator(whole)] = Field(
        default=0, description="Lines with higher numbers; `Last-Event-ID` goes before it."
    )


async def events(call: Call) -> EventStream:
    """Counts of the cluster, and then those that change."""
    services, identity = call.services, call.identity
    return EventStream(
        call.request,
        services.streams,
        lambda outlet: services.events.listening(outlet, identity),
    )


async def log(call: Call[JobPath, LogStart]) -> EventStream:
    """A job's log, as it is written."""
    job_id = call.path.id
    after = _after(call)
    await call.db.row("get_job", ("id",), p_id=job_id)
    services = call.services
    return EventStream(
        call.request,
        services.streams,
        lambda outlet: services.tails.following(outlet, job_id, after),
    )


def _after(call: Call[JobPath, LogStart]) -> int:
    last = call.request.headers.get(LAST_EVENT)
    if not last:
        return call.query.after
    if not re.fullmatch(r"[0-9]{1,10}", last) or int(last) >= 2**31:
        raise invalid(f"header.{LAST_EVENT}", "expected the number of a line")
    return int(last)


ROUTES = (
    Route(
        "GET",
        f"{API}/events",
        events,
        summary="What changes in the cluster",
        description="`snapshot` has all counts of `/stats` as `items`, and `change`, at most once "
        "a second, those that have changed since. Who comes back gets a snapshot.",
        tag="service",
        scopes=("view",),
        reach="handler",
        media=EVENTS,
        errors=("too-many-requests",),
    ),
    Route(
        "GET",
        f"{API}/jobs/{{id}}/logs/stream",
        log,
        summary="Its log, as it is written",
        description="Each `log` is a line, whose number is the event's id: `Last-Event-ID` goes "
        "on after it, at any server. `end` comes when the job has ended and all lines were sent; "
        "a stream that ends without it goes on elsewhere.",
        tag="jobs",
        scopes=("view",),
        reach="job",
        path_model=JobPath,
        query=LogStart,
        media=EVENTS,
        errors=("not-found", "too-many-requests"),
    ),
)
