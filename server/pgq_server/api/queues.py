"""Queues."""

from __future__ import annotations

from pgq_server.call import Call
from pgq_server.models.base import columns_of
from pgq_server.models.queues import Queues, QueueSummary
from pgq_server.routes import API, Route


async def list_queues(call: Call) -> Queues:
    """Queues that ever had a job or have settings."""
    rows = await call.db.rows("list_queues", columns_of(QueueSummary))
    reached = [row for row in rows if call.identity.reaches(row["queue"])]
    return Queues(items=[QueueSummary(**row) for row in reached])


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
)
