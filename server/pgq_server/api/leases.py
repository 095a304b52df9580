"""Running jobs over HTTP, so that a worker can be written in any language."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import anyio
from psycopg.types.numeric import Float4
from pydantic import BaseModel

from pgq.errors import NoSuchJob
from pgq_server.call import Call
from pgq_server.gateway import Row, verb
from pgq_server.models.base import JobPath, columns_of
from pgq_server.models.leases import (
    Claim,
    Completion,
    Extended,
    Extension,
    Failed,
    Failure,
    Lease,
    Leases,
    Logged,
    NewLine,
    Release,
    Released,
    Snooze,
    Snoozed,
)
from pgq_server.route import API, Route

NOBODY = 0
"""The worker of those who send no heartbeats: their leases have an expiry of their own."""


async def claim(call: Call[None, None, Claim]) -> Leases:
    """Take jobs, when there are none as soon as there are."""
    body, services = call.body, call.services
    for n, queue in enumerate(body.queues):
        call.check_queue(queue, f"body.queues.{n}")
    deadline = anyio.current_time() + body.wait
    while not (rows := await _claimed(call)):
        left = deadline - anyio.current_time()
        if left <= 0 or services.stopping.is_set():
            break
        await services.watcher.filled(call.request, body.queues, left)
        if await call.request.is_disconnected():
            break
        await services.access.identify(call.request)
    return Leases(items=[Lease(**row) for row in rows])


async def extend(call: Call[JobPath, None, Extension]) -> Extended:
    """Keep a job for longer."""
    _, rows = await call.db.batch(
        verb(
            "extend",
            p_id=call.path.id,
            p_token=call.body.token,
            p_lease=call.body.lease_seconds,
        ),
        verb("get_job", ("cancel_requested",), p_id=call.path.id),
    )
    return Extended(**rows[0])


async def complete(call: Call[JobPath, None, Completion]) -> None:
    """Finish a job."""
    result = call.body.result
    await call.db.value(
        "complete",
        p_id=call.path.id,
        p_token=call.body.token,
        p_result=None if result is None else result.text,
    )


async def fail(call: Call[JobPath, None, Failure]) -> Failed:
    """End an attempt that failed."""
    body = call.body
    row = await call.db.row(
        "fail",
        columns_of(Failed),
        p_id=call.path.id,
        p_token=body.token,
        p_error_class=body.error_class,
        p_message=body.message,
        p_traceback=body.traceback,
        p_permanent=body.permanent,
        p_retry_in=body.retry_in_seconds,
        p_reason=body.reason,
    )
    return Failed(**row)


async def snooze(call: Call[JobPath, None, Snooze]) -> Snoozed:
    """Put a job off, which uses no attempt."""
    run_at = await call.db.value(
        "snooze",
        p_id=call.path.id,
        p_token=call.body.token,
        p_delay=call.body.delay_seconds,
    )
    return Snoozed(state="scheduled" if run_at else "cancelled", run_at=run_at)


async def log(call: Call[JobPath, None, NewLine]) -> Logged:
    """Add a line to a job's log."""
    body = call.body
    n = await call.db.value(
        "log",
        p_id=call.path.id,
        p_token=body.token,
        p_message=body.message,
        p_level=body.level,
        p_progress=None if body.progress is None else Float4(body.progress),
    )
    return Logged(n=n)


async def release(call: Call[None, None, Release]) -> Released:
    """Give jobs back, to start again at once; it uses no attempt."""
    leases = call.body.leases
    if call.identity.queues is not None:
        found = await call.db.batch(
            *(verb("get_job", ("queue",), p_id=lease.id) for lease in leases)
        )
        for lease, (row,) in zip(leases, found, strict=True):
            if not call.identity.reaches(row["queue"]):
                raise NoSuchJob(f"there is no job {lease.id}")
    rows = await call.db.rows(
        "release",
        ("id",),
        p_ids=[lease.id for lease in leases],
        p_tokens=[lease.token for lease in leases],
        p_begun=[lease.begun for lease in leases],
    )
    return Released(lost=[row["id"] for row in rows])


async def _claimed(call: Call[None, None, Claim]) -> list[Row]:
    """What there is now."""
    body = call.body
    rows = await call.db.rows(
        "claim",
        columns_of(Lease),
        p_worker=NOBODY,
        p_executor=0,
        p_token=body.token or uuid4(),
        p_queues=body.queues,
        p_limits=[body.limit] * len(body.queues),
        p_lease=body.lease_seconds,
        p_limit=body.limit,
    )
    if rows:
        call.services.watcher.pass_on(body.queues)
    if rows and body.token is None and await call.request.is_disconnected():
        # Nobody will ever hear of them.
        await call.db.rows(
            "release",
            ("id",),
            p_ids=[row["id"] for row in rows],
            p_tokens=[row["token"] for row in rows],
        )
        return []
    return rows


def _one(
    path: str, handler: Any, summary: str, body: type[BaseModel], answer: Any, **more: Any
) -> Route:
    """A route of one running job."""
    return Route(
        "POST",
        f"{API}/jobs/{{id}}{path}",
        handler,
        summary=summary,
        tag="leases",
        scopes=("work",),
        reach="job",
        path_model=JobPath,
        body=body,
        answer=answer,
        status=200 if answer else 204,
        **{"errors": ("not-found", "lease-lost"), "idempotent": True, **more},
    )


ROUTES = (
    Route(
        "POST",
        f"{API}/claims",
        claim,
        summary="Take jobs",
        description="They are the caller's until they are completed, failed or given back, or the "
        "lease runs out; then they start again elsewhere. One that is lost on the way is given "
        "back as soon as that is seen, unless the caller made the `token`.",
        tag="leases",
        scopes=("work",),
        reach="handler",
        body=Claim,
        answer=Leases,
        errors=("too-many-requests",),
    ),
    _one("/extend", extend, "Keep a job for longer", Extension, Extended,
         errors=("not-found", "lease-lost", "conflict")),
    _one("/complete", complete, "Finish a job", Completion, None),
    _one("/fail", fail, "End an attempt that failed", Failure, Failed),
    _one("/snooze", snooze, "Put a job off", Snooze, Snoozed),
    _one("/log", log, "Add a line to its log", NewLine, Logged),
    Route(
        "POST",
        f"{API}/releases",
        release,
        summary="Give jobs back",
        description="They start again at once, elsewhere; it uses no attempt.",
        tag="leases",
        scopes=("work",),
        reach="handler",
        body=Release,
        answer=Released,
        errors=("not-found",),
        idempotent=True,
    ),
)  # fmt: skip
