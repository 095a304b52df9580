"""The starting systems' own shapes, over the same verbs; `/api/v1` is the real interface.

Their workers keep no tokens: a report is taken from who holds the job now. Such a worker's leases
have an expiry of their own, which its heartbeats move.
"""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from pgq.errors import LeaseLost
from pgq_server.access import Scope
from pgq_server.api import jobs
from pgq_server.call import Answer, Call
from pgq_server.documents import RawJson
from pgq_server.gateway import Gateway, Row
from pgq_server.models.base import JobPath
from pgq_server.models.seeds import (
    STATUSES,
    NamedJob,
    NamedJobMade,
    OldJob,
    OldJobs,
    OldLease,
    OldNext,
    OldPage,
    OldRegistration,
    OldReport,
    OldWorker,
    OldWorkerRef,
    OldWorkers,
    TypedJob,
    seconds,
)
from pgq_server.problems import Refusal
from pgq_server.route import Method, Route

LEASE = timedelta(seconds=30)
"""From a heartbeat to the loss of a worker's jobs."""
GRACE = timedelta(seconds=10)
"""That a job is left to who sends no heartbeats, after its timeout."""
NOBODY = 0
PAGE = 1000

_JOB = (
    "id::text", "task", "state", "attempt", "max_attempts", "timeout",
    "created_at", "claimed_at", "started_at", "finished_at",
)  # fmt: skip
_WORKER = ("id", "name", "state", "queues", "heartbeat_at")


async def create(call: Call[None, None, TypedJob]) -> Answer:
    """Make a job."""
    job_id, _ = await jobs.enter(call, call.body.job())
    headers = {"Location": call.url(f"/jobs/{job_id}")}
    return Answer(await _shown(call.db, job_id), headers=headers)


async def submit(call: Call[None, None, NamedJob]) -> Answer:
    """Make a job, by its name."""
    job_id, _ = await jobs.enter(call, call.body.job())
    made = NamedJobMade(id=str(job_id), name=call.body.name, status="PENDING")
    return Answer(made, headers={"Location": call.url(f"/jobs/{job_id}")})


async def list_jobs(call: Call[None, OldPage]) -> OldJobs:
    """Jobs, the newest first."""
    wanted, skipped = call.query.limit, call.query.offset
    found: list[int] = []
    before: int | None = None
    while len(found) < wanted + skipped:
        limit = min(wanted + skipped - len(found), PAGE)
        rows = await call.db.rows(
            "list_jobs", ("id",), p_before=before, p_limit=limit, p_queues=call.identity.only
        )
        ids = [row["id"] for row in rows if row["id"] is not None]
        found += ids
        if len(ids) < limit:
            break
        before = ids[-1]
    shown = found[skipped:]
    if not shown:
        return OldJobs([])
    return OldJobs(
        [OldJob(**_old(row)) for row in await call.db.rows("get_jobs", _JOB, p_ids=shown)]
    )


async def show(call: Call[JobPath]) -> OldJob:
    """A job."""
    return await _shown(call.db, call.path.id)


async def take(call: Call[None, None, OldNext]) -> OldLease | None:
    """The next job; None when there is none."""
    db, worker, queues = call.db, NOBODY, ["default"]
    if call.body.worker_id is not None:
        row = await _worker(db, call.body.worker_id)
        worker, queues = row["id"], row["queues"]
    rows = await db.rows(
        "claim",
        ("id", "token", "payload::text", "timeout"),
        p_worker=worker,
        p_executor=0,
        p_token=uuid4(),
        p_queues=queues,
        p_limits=[1] * len(queues),
        p_lease=LEASE,
        p_limit=1,
    )
    if not rows:
        return None
    (lease,) = rows
    held = {"p_id": lease["id"], "p_token": lease["token"]}
    if worker == NOBODY:
        await db.value("extend", **held, p_lease=lease["timeout"] + GRACE)
    row = await db.row("get_job", _JOB, p_id=lease["id"])
    return OldLease(**_old(row), payload=RawJson(lease["payload"]), token=str(lease["token"]))


async def report(call: Call[None, None, OldReport]) -> OldJob:
    """What became of a job."""
    body, db, job_id = call.body, call.db, int(call.body.job_id)
    token: UUID | None = body.token
    if token is None:
        worker = NOBODY if body.worker_id is None else (await _worker(db, body.worker_id))["id"]
        token = await db.value("get_lease_token", p_id=job_id, p_worker=worker)
    if token is None:
        raise Refusal("lease-lost", f"This worker does not run job {job_id} now.")
    if body.status == "SUCCESS":
        result = None if body.result is None else body.result.text
        await db.value("complete", p_id=job_id, p_token=token, p_result=result)
    else:
        await db.row("fail", ("state",), p_id=job_id, p_token=token, p_message=body.error)
    return await _shown(db, job_id)


async def register(call: Call[None, None, OldRegistration]) -> Answer:
    """Enter a worker."""
    body = call.body
    row = await call.db.row(
        "register_worker",
        ("worker",),
        p_name=body.name or body.worker_id or "worker",
        p_queues=body.queues,
        p_slots=body.capacity,
        p_info=_info(body),
    )
    return Answer(_told(await call.db.row("get_worker", _WORKER, p_id=row["worker"])))


async def heartbeat(call: Call[None, None, OldWorkerRef]) -> OldWorker:
    """Keep a worker and its jobs."""
    db = call.db
    worker = (await _worker(db, call.body.worker_id))["id"]
    rows = await db.rows("list_jobs", ("id",), p_worker=worker, p_state="running", p_limit=PAGE)
    ids = [row["id"] for row in rows if row["id"] is not None]
    held = [
        (job_id, token)
        for job_id in ids
        if (token := await db.value("get_lease_token", p_id=job_id, p_worker=worker))
    ]
    await db.row(
        "heartbeat",
        ("lost",),
        p_worker=worker,
        p_ids=[job_id for job_id, _ in held],
        p_tokens=[token for _, token in held],
        p_busy=len(held),
        p_state="busy" if held else "available",
    )
    for job_id, token in held:
        with suppress(LeaseLost):
            await db.value("extend", p_id=job_id, p_token=token, p_lease=LEASE)
    return _told(await db.row("get_worker", _WORKER, p_id=worker))


async def list_workers(call: Call) -> OldWorkers:
    """Workers that are up, or were lately."""
    return OldWorkers([_told(row) for row in await call.db.rows("list_workers", _WORKER)])


async def _shown(db: Gateway, job_id: int) -> OldJob:
    return OldJob(**_old(await db.row("get_job", _JOB, p_id=job_id)))


def _old(row: Row) -> dict[str, Any]:
    retries = row["max_attempts"] - 1
    done = row["attempt"] - (row["state"] != "retrying")
    times = (row[name] for name in ("created_at", "claimed_at", "started_at", "finished_at"))
    return {
        "id": row["id"],
        "type": row["task"],
        "status": STATUSES[row["state"]],
        "retry_count": min(max(done, 0), retries),
        "max_retries": retries,
        "timeout_seconds": seconds(row["timeout"]),
        "created_at": row["created_at"],
        "updated_at": max(time for time in times if time is not None),
    }


async def _worker(db: Gateway, name: str) -> Row:
    """By its id, or the last that registered by a name."""
    found = [
        row
        for row in await db.rows("list_workers", _WORKER)
        if name in (str(row["id"]), row["name"])
    ]
    if not found:
        raise Refusal("not-found", f"There is no worker {name}.", hint="Register it.")
    return max(found, key=lambda row: int(row["id"]))


def _info(body: OldRegistration) -> str:
    """What else a worker says of itself, unless there are characters that Postgres cannot keep."""
    text = json.dumps({"more": body.model_extra}, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        return "{}"
    return "{}" if "\\u0000" in text else text


def _told(row: Row) -> OldWorker:
    return OldWorker(
        id=str(row["id"]),
        name=row["name"],
        status="OFFLINE" if row["state"] == "offline" else "ONLINE",
        last_heartbeat=row["heartbeat_at"],
    )


def _old_route(
    method: Method, path: str, handler: Any, summary: str, *scopes: Scope, **more: Any
) -> Route:
    return Route(
        method,
        path,
        handler,
        summary=summary,
        tag="older shapes",
        scopes=scopes,
        **{"reach": "service", **more},
    )


ROUTES = (
    _old_route("POST", "/jobs", create, "Make a job", "enqueue", reach="handler",
               traced=True, body=TypedJob, answer=OldJob, status=201),
    _old_route("POST", "/submit_job", submit, "Make a job, by its name", "enqueue",
               reach="handler", traced=True, body=NamedJob, answer=NamedJobMade, status=201),
    _old_route("GET", "/jobs", list_jobs, "Jobs, the newest first", "view", reach="handler",
               query=OldPage, answer=OldJobs),
    _old_route("POST", "/jobs/next", take, "Take the next job", "work", body=OldNext,
               answer=OldLease, also=((204, None),), errors=("not-found", "worker-expired")),
    _old_route("POST", "/jobs/report", report, "What became of a job", "work", body=OldReport,
               answer=OldJob, errors=("not-found", "lease-lost")),
    _old_route("GET", "/jobs/{id}", show, "A job", "view", "enqueue", reach="job",
               path_model=JobPath, answer=OldJob, errors=("not-found",)),
    _old_route("POST", "/workers/register", register, "Enter a worker", "work",
               body=OldRegistration, answer=OldWorker, status=201),
    _old_route("POST", "/workers/heartbeat", heartbeat, "Keep a worker and its jobs", "work",
               body=OldWorkerRef, answer=OldWorker, errors=("not-found", "worker-expired")),
    _old_route("GET", "/workers", list_workers, "Workers", "view", answer=OldWorkers),
)  # fmt: skip
