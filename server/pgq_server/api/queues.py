"""Queues: their depths and settings."""

from __future__ import annotations

from typing import Any

from pgq_server.access import Scope
from pgq_server.call import Call
from pgq_server.gateway import verb
from pgq_server.models.base import Empty, QueuePath, columns_of
from pgq_server.models.queues import QueueDetail, QueueEdit, Queues, QueueSummary
from pgq_server.route import API, Method, Route

DETAIL = columns_of(QueueDetail)


async def list_queues(call: Call) -> Queues:
    """Queues that ever had a job or have settings."""
    rows = await call.db.rows("list_queues", columns_of(QueueSummary))
    reached = [row for row in rows if call.identity.reaches(row["queue"])]
    return Queues(items=[QueueSummary(**row) for row in reached])


async def show(call: Call[QueuePath]) -> QueueDetail:
    """A queue with its settings."""
    return QueueDetail(**await call.db.row("get_queue", DETAIL, p_queue=call.path.queue))


async def edit(call: Call[QueuePath, None, QueueEdit]) -> QueueDetail:
    """Change settings; also before the queue's first job."""
    given = {
        name.removesuffix("_seconds"): getattr(call.body, name)
        for name in call.body.model_fields_set
    }
    values = {f"p_{name}": value for name, value in given.items() if value is not None}
    reset = [name for name, value in given.items() if value is None]
    return await _changed(call, "configure_queue", p_reset=sorted(reset), **values)


async def pause(call: Call[QueuePath, None, Empty]) -> QueueDetail:
    """Let no more jobs of the queue start."""
    return await _changed(call, "pause")


async def resume(call: Call[QueuePath, None, Empty]) -> QueueDetail:
    """Let its jobs start again."""
    return await _changed(call, "resume")


async def _changed(call: Call[QueuePath, Any, Any], name: str, **arguments: Any) -> QueueDetail:
    """What a change made of the queue, in one round trip."""
    queue = call.path.queue
    _, rows = await call.db.batch(
        verb(name, p_queue=queue, **arguments), verb("get_queue", DETAIL, p_queue=queue)
    )
    return QueueDetail(**rows[0])


def _one(method: Method, path: str, handler: Any, summary: str, scope: Scope, **more: Any) -> Route:
    """A route of one queue."""
    return Route(
        method,
        f"{API}/queues/{{queue}}{path}",
        handler,
        summary=summary,
        tag="queues",
        scopes=(scope,),
        reach="queue",
        path_model=QueuePath,
        answer=QueueDetail,
        **more,
    )


ROUTES = (
    Route(
        "GET",
        f"{API}/queues",
        list_queues,
        summary="All queues",
        tag="queues",
        scopes=("view",),
        reach="handler",
        answer=Queues,
        etag=True,
    ),
    _one("GET", "", show, "A queue with its settings", "view", errors=("not-found",), etag=True),
    _one("PATCH", "", edit, "Change its settings", "operate", body=QueueEdit, idempotent=True),
    _one("POST", "/pause", pause, "Let no more of its jobs start", "operate", body=Empty,
         idempotent=True),
    _one("POST", "/resume", resume, "Let its jobs start again", "operate", body=Empty,
         idempotent=True),
)  # fmt: skip
