"""Dead letters: jobs that will not be tried again unless somebody asks."""

from __future__ import annotations

from typing import Any

from pgq_server import paging
from pgq_server.api import jobs
from pgq_server.api.operations import selected, started
from pgq_server.call import Answer, Call
from pgq_server.models.base import JobPath, columns_of
from pgq_server.models.dead import (
    DeadFilter,
    DeadGroup,
    DeadGroups,
    DeadLetter,
    DeadPage,
    DeadQuery,
    GroupQuery,
)
from pgq_server.models.jobs import JobDetail, JobRetry
from pgq_server.models.operations import DeadPurge, DeadRetry, Operation, OperationFilter
from pgq_server.route import API, Route


async def list_dead(call: Call[None, DeadQuery]) -> DeadPage:
    """Dead letters, the newest jobs first."""
    query = call.query
    rows = await call.db.rows(
        "list_dead",
        columns_of(DeadLetter),
        p_queue=query.queue,
        p_task=query.task,
        p_fingerprint=query.fingerprint,
        p_before=paging.position(query.cursor),
        p_limit=query.limit + 1,
        p_queues=call.identity.only,
    )
    rows, more = paging.cut(rows, query.limit)
    return DeadPage(
        items=[DeadLetter(**row) for row in rows],
        next=paging.encode(rows[-1]["id"]) if more else None,
    )


async def list_groups(call: Call[None, GroupQuery]) -> DeadGroups:
    """Kinds of errors among the dead letters."""
    rows = await call.db.rows(
        "list_dead_groups",
        columns_of(DeadGroup),
        p_queue=call.query.queue,
        p_task=call.query.task,
        p_limit=call.query.limit,
        p_queues=call.identity.only,
    )
    return DeadGroups(items=[DeadGroup(**row) for row in rows])


async def retry(call: Call[None, None, DeadRetry]) -> Answer:
    """Try many dead letters again."""
    body = call.body
    payload = None if body.payload is None else body.payload.text
    return await _started(call, body, p_verb="retry", p_payload=payload)


async def purge(call: Call[None, None, DeadPurge]) -> Answer:
    """Delete many dead letters for good."""
    return await _started(call, call.body, p_verb="purge")


async def _started(
    call: Call[Any, Any, Any], body: DeadRetry | DeadPurge, **arguments: Any
) -> Answer:
    given = {name: getattr(body, name) for name in DeadFilter.model_fields}
    filters = selected(OperationFilter(**given, state="dead"), call.identity)
    return await started(
        call, p_ids=body.ids, **filters, p_limit=body.limit, p_rate=body.rate, **arguments
    )


_MANY: dict[str, Any] = {
    "tag": "dead letters",
    "scopes": ("operate",),
    "reach": "handler",
    "answer": Operation,
    "status": 202,
    "idempotent": True,
}

ROUTES = (
    Route(
        "GET",
        f"{API}/dead",
        list_dead,
        summary="Dead letters, page by page",
        tag="dead letters",
        scopes=("view",),
        reach="handler",
        query=DeadQuery,
        answer=DeadPage,
    ),
    Route(
        "GET",
        f"{API}/dead/groups",
        list_groups,
        summary="Dead letters grouped by kind of error",
        tag="dead letters",
        scopes=("view",),
        reach="handler",
        query=GroupQuery,
        answer=DeadGroups,
    ),
    Route(
        "POST",
        f"{API}/dead/{{id}}/retry",
        jobs.retry,
        summary="Try a dead letter again",
        tag="dead letters",
        scopes=("operate",),
        reach="job",
        path_model=JobPath,
        body=JobRetry,
        answer=JobDetail,
        errors=("not-found", "conflict", "busy"),
        idempotent=True,
    ),
    Route(
        "POST",
        f"{API}/dead/retry",
        retry,
        summary="Try dead letters again, as an operation",
        body=DeadRetry,
        **_MANY,
    ),
    Route(
        "POST",
        f"{API}/dead/purge",
        purge,
        summary="Delete dead letters for good, as an operation",
        body=DeadPurge,
        **_MANY,
    ),
)
