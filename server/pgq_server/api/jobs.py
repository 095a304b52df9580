"""Jobs: making, finding and changing them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

from pgq import errors, producer
from pgq.connections import Rows, Statement
from pgq.sending import sending
from pgq_server import masking, paging
from pgq_server.access import Identity, Scope
from pgq_server.call import Answer, Call
from pgq_server.documents import RawJson
from pgq_server.gateway import Gateway, Row, Verb, verb
from pgq_server.intake import trace_of
from pgq_server.models.base import Empty, JobPath, columns_of
from pgq_server.models.jobs import (
    Attempt,
    AttemptPage,
    JobContent,
    JobCopy,
    JobDetail,
    JobEdit,
    JobEvent,
    JobEvents,
    JobFilter,
    JobPage,
    JobQuery,
    JobRetry,
    JobSummary,
    ListLimit,
    LogLine,
    LogPage,
    LogQuery,
    MadeJob,
    MadeJobs,
    NewJob,
    NewJobs,
    Reason,
    Reasons,
    Wait,
)
from pgq_server.models.seeds import AnyMadeJob, AnyNewJob, NamedJob, NamedJobMade
from pgq_server.paging import Total
from pgq_server.problems import Refusal, located
from pgq_server.route import API, Method, Route

DETAIL = columns_of(JobDetail)
TOTAL = ("n", "capped", "looked_to")
SEES_ALL: tuple[Scope, ...] = ("enqueue", "operate")
"""Scopes of those who see payloads unmasked."""
ENDED = ("succeeded", "cancelled", "dead")
_APART = ("task", "payload", "unique_key")
_TEXTS = {"task", "payload", "headers"}
_UNTOLD = re.compile(r"\\u(0000|[dD][89a-fA-F])")
"""Escapes in JSON that a verb cannot tell as text, while a column of type json keeps them."""
CAP = 10_000
"""Up to here jobs are counted."""
INSIDE, OUTSIDE = timedelta(seconds=2), timedelta(seconds=0.15)
"""How long a search may take inside payloads, and elsewhere."""
COUNTING = timedelta(seconds=0.1)
"""How long the total may take."""


async def create(call: Call[None, None, AnyNewJob]) -> Answer:
    """Make a job."""
    job = call.body.root
    if isinstance(job, NamedJob):
        job_id, _ = await enter(call, job.job())
        made = NamedJobMade(id=str(job_id), name=job.name, status="PENDING")
        return Answer(made, headers=_location(call, job_id))
    job_id, created = await enter(call, job)
    status = 201 if created else 200
    return Answer(MadeJob(id=job_id, created=created), status, _location(call, job_id))


async def create_many(call: Call[None, None, NewJobs]) -> MadeJobs:
    """Make many jobs, all or none."""
    if call.identity.queues is not None:
        for n, job in enumerate(call.body.jobs):
            call.check_queue(job.queue, f"body.jobs.{n}.queue")
    jobs = [_columns(job) for job in call.body.jobs]
    tasks, queues = ({getattr(job, name) for job in call.body.jobs} for name in ("task", "queue"))
    context = sending(
        tasks.pop() if len(tasks) == 1 else None,
        queues.pop() if len(queues) == 1 else None,
        (job.get("headers") for job in jobs),
        count=len(jobs),
        incoming=trace_of(call.request),
    )
    try:
        with context as sent:
            rows = await _made(call.db, [sent.carried(job) for job in jobs])
    except errors.BadArgument as error:
        item = re.match(r"item (\d+): ", error.message)
        where = f"body.jobs.{int(item[1]) - 1}" if item else "body.jobs"
        raise located(error, where) from None
    return MadeJobs(items=[MadeJob(id=job_id, created=created) for job_id, created in rows])


async def enter(call: Call[Any, Any, Any], job: NewJob) -> tuple[int, bool]:
    """Make a job of a body; its id, and whether it is new."""
    call.check_queue(job.queue)
    columns = _columns(job)
    given = columns.get("headers")
    try:
        with sending(job.task, job.queue, (given,), incoming=trace_of(call.request)) as sent:
            rows = await call.db.fetch(_statement(sent.carried(columns)))
            job_id, created = rows[0]
            sent.made(job_id)
    except errors.BadArgument as error:
        raise located(error, "body") from None
    return job_id, created


async def list_jobs(call: Call[None, JobQuery]) -> JobPage:
    """Jobs, the newest first unless asked otherwise."""
    query = call.query
    filters = filters_of(query, call.identity)
    edge = "p_before" if query.order == "newest" else "p_after"
    place = paging.position(query.cursor)
    if edge == "p_after" and place is None:
        place = 0
    verbs = [
        verb(
            "list_jobs",
            (*columns_of(JobSummary), "looked_to"),
            **filters,
            **{edge: place},
            p_limit=query.limit + 1,
            p_budget=INSIDE if query.payload else OUTSIDE,
        )
    ]
    if query.total:
        verbs.append(verb("count_jobs", TOTAL, **filters, p_cap=CAP, p_budget=COUNTING))
    found, *counted = await call.db.batch(*verbs)
    looked_to = next((row["looked_to"] for row in found if row["id"] is None), None)
    rows, more = paging.cut([row for row in found if row["id"] is not None], query.limit)
    for row in rows:
        del row["looked_to"]
    goes_on = rows[-1]["id"] if more else looked_to
    return JobPage(
        items=[JobSummary(**row) for row in rows],
        next=None if goes_on is None else paging.encode(goes_on),
        total=total(counted[0][0]) if counted else None,
        looked_to=None if more else looked_to,
    )


def total(row: Row) -> Total:
    """What `count_jobs` tells; what it had no time to look at may be more."""
    return Total(n=row["n"], capped=row["capped"] or row["looked_to"] is not None)


async def show(call: Call[JobPath, Wait]) -> JobDetail:
    """A job, when asked to once it has ended."""
    row = await call.db.row("get_job", DETAIL, p_id=call.path.id)
    if call.query.wait and row["state"] not in ENDED:
        await call.services.watcher.ended(call.request, call.path.id, call.query.wait)
        await call.services.access.identify(call.request)
        row = await call.db.row("get_job", DETAIL, p_id=call.path.id)
    return JobDetail(**row)


async def edit(call: Call[JobPath, None, JobEdit]) -> JobDetail:
    """Change a job that has not started, or is dead."""
    body = call.body
    return await _changed(
        call,
        verb(
            "edit",
            p_id=call.path.id,
            p_payload=_text(body.payload),
            p_priority=body.priority,
            p_run_at=body.run_at,
        ),
    )


async def cancel(call: Call[JobPath, None, Empty]) -> JobDetail:
    """Cancel a job."""
    return await _changed(call, verb("cancel", p_id=call.path.id))


async def retry(call: Call[JobPath, None, JobRetry]) -> JobDetail:
    """Try a dead or cancelled job again."""
    payload = _text(call.body.payload)
    return await _changed(call, verb("retry", p_id=call.path.id, p_payload=payload))


async def run_now(call: Call[JobPath, None, Empty]) -> JobDetail:
    """Let a job that waits for its time start now."""
    return await _changed(call, verb("run_now", p_id=call.path.id))


async def duplicate(call: Call[JobPath, None, JobCopy]) -> Answer:
    """Make another job like this one."""
    body = call.body
    if body.queue is not None:
        call.check_queue(body.queue)
    job_id = await call.db.value(
        "duplicate",
        p_id=call.path.id,
        p_payload=_text(body.payload),
        p_queue=body.queue,
        p_priority=body.priority,
        p_run_at=body.run_at,
        p_delay=body.delay_seconds,
    )
    return Answer(MadeJob(id=job_id, created=True), headers=_location(call, job_id))


async def content(call: Call[JobPath]) -> JobContent:
    """What a job was given, and what it returned."""
    row = await call.db.row("get_payload", columns_of(JobContent), p_id=call.path.id)
    if not call.identity.may(SEES_ALL):
        row = {name: text and _masked(text) for name, text in row.items()}
    return JobContent(**row)


async def attempts(call: Call[JobPath, ListLimit]) -> AttemptPage:
    """Attempts that did not end well."""
    rows = await _of_job(
        call,
        verb("list_attempts", columns_of(Attempt), p_id=call.path.id, p_limit=call.query.limit),
    )
    return AttemptPage(items=[Attempt(**row) for row in rows])


async def logs(call: Call[JobPath, LogQuery]) -> LogPage:
    """Lines of a job's log."""
    rows = await _of_job(
        call,
        verb(
            "list_logs",
            columns_of(LogLine),
            p_id=call.path.id,
            p_after=call.query.after,
            p_limit=call.query.limit,
        ),
    )
    return LogPage(items=[LogLine(**row) for row in rows])


async def events(call: Call[JobPath]) -> JobEvents:
    """What happened to a job."""
    rows = await call.db.rows("list_events", columns_of(JobEvent), p_id=call.path.id)
    return JobEvents(items=[JobEvent(**row) for row in rows])


async def explain(call: Call[JobPath]) -> Reasons:
    """Why a job is not running."""
    rows = await call.db.rows("explain", columns_of(Reason), p_id=call.path.id)
    return Reasons(items=[Reason(**row) for row in rows])


def filters_of(query: JobFilter, identity: Identity) -> dict[str, Any]:
    """The arguments of `list_jobs` and its kin.

    Who sees payloads masked may not guess at what is masked either.
    """
    path, value = query.place
    if not identity.may(SEES_ALL) and any(map(masking.is_secret, path or ())):
        raise Refusal("forbidden", "This token does not see values of such names.")
    return {
        "p_queue": query.queue,
        "p_state": query.state,
        "p_task": query.task,
        "p_tag": query.tag,
        "p_worker": query.worker,
        "p_created_after": query.created_after,
        "p_created_before": query.created_before,
        "p_path": path,
        "p_value": value,
        "p_queues": identity.only,
    }


async def _changed(call: Call[JobPath, Any, Any], change: Verb) -> JobDetail:
    """What a change made of the job, in one round trip."""
    try:
        _, rows = await call.db.batch(change, verb("get_job", DETAIL, p_id=call.path.id))
    except errors.BadArgument as error:
        raise located(error, "body") from None
    return JobDetail(**rows[0])


async def _of_job(call: Call[JobPath, Any], reader: Verb) -> list[dict[str, Any]]:
    """The rows of a verb that says nothing about a job that there is not."""
    _, rows = await call.db.batch(verb("get_job", ("id",), p_id=call.path.id), reader)
    return rows


async def _made(db: Gateway, jobs: list[Mapping[str, Any]]) -> Rows:
    if any("unique_key" in job for job in jobs):
        if any(_UNTOLD.search(job["payload"] + job.get("headers", "")) for job in jobs):
            return await db.transact(lambda inner: _one_by_one(inner, jobs))
    elif not db.in_transaction:
        with suppress(errors.BadArgument):  # said again below, with the item
            return await db.fetch(producer.mixed(jobs))
    return await db.fetch(producer.each(jobs))


async def _one_by_one(db: Gateway, jobs: list[Mapping[str, Any]]) -> Rows:
    rows: list[Sequence[Any]] = []
    for n, job in enumerate(jobs, 1):
        try:
            rows += await db.fetch(_statement(job))
        except errors.BadArgument as error:
            message = f"item {n}: {error.message}"
            raise errors.BadArgument(message, error.detail, error.hint) from None
    return rows


def _statement(columns: Mapping[str, Any]) -> Statement:
    rest = {name: columns[name] for name in columns if name not in _APART}
    return producer.one(columns["task"], columns["payload"], rest, columns.get("unique_key"))


def _location(call: Call[Any, Any, Any], job_id: int) -> dict[str, str]:
    return {"Location": call.url(f"{API}/jobs/{job_id}")}


def _columns(job: NewJob) -> dict[str, Any]:
    """What was given, as columns of `pgq.job` and `delay`."""
    columns: dict[str, Any] = {"task": job.task, "payload": job.payload.text}
    for name in job.model_fields_set - _TEXTS:
        if (value := getattr(job, name)) is not None:
            columns[name.removesuffix("_seconds")] = value
    if job.headers is not None:
        columns["headers"] = job.headers.text
    return columns


def _masked(text: str) -> str:
    try:
        return masking.write(masking.masked(masking.read(text)))
    except ValueError:  # too deep to be looked through
        return masking.write(masking.MASK)


def _text(payload: RawJson | None) -> str | None:
    return None if payload is None else payload.text


def _one(
    method: Method, path: str, handler: Any, summary: str, *scopes: Scope, **more: Any
) -> Route:
    """A route of one job."""
    return Route(
        method,
        f"{API}/jobs/{{id}}{path}",
        handler,
        summary=summary,
        tag="jobs",
        scopes=scopes,
        reach="job",
        path_model=JobPath,
        **{"errors": ("not-found",), **more},
    )


_CHANGE: dict[str, Any] = {
    "answer": JobDetail,
    "errors": ("not-found", "conflict", "busy"),
    "idempotent": True,
}

ROUTES = (
    Route(
        "POST",
        f"{API}/jobs",
        create,
        summary="Make a job",
        description="When an unfinished job of the queue has the unique key, the answer is 200 "
        "with that job. A body with a `name` and without a `task` is of the older shape: "
        "`command` becomes the task `pgq.command`, and the id in the answer is a string.",
        tag="jobs",
        scopes=("enqueue",),
        reach="handler",
        body=AnyNewJob,
        answer=AnyMadeJob,
        status=201,
        also=((200, MadeJob),),
        errors=("busy",),
        idempotent=True,
        traced=True,
    ),
    Route(
        "POST",
        f"{API}/jobs/batch",
        create_many,
        summary="Make up to 1,000 jobs, all or none",
        tag="jobs",
        scopes=("enqueue",),
        reach="handler",
        body=NewJobs,
        answer=MadeJobs,
        errors=("busy",),
        idempotent=True,
        traced=True,
    ),
    Route(
        "GET",
        f"{API}/jobs",
        list_jobs,
        summary="Jobs, page by page",
        description="With filters it looks for a bounded time. When it ends early, `looked_to` "
        "tells how far it came, and `next` goes on from there.",
        tag="jobs",
        scopes=("view",),
        reach="handler",
        query=JobQuery,
        answer=JobPage,
    ),
    _one("GET", "", show, "A job", "view", "enqueue", query=Wait, answer=JobDetail,
         errors=("not-found", "too-many-requests"), etag=True),
    _one("PATCH", "", edit, "Change a job that has not started", "operate", body=JobEdit,
         **_CHANGE),
    _one("POST", "/cancel", cancel, "Cancel a job", "operate", body=Empty, **_CHANGE),
    _one("POST", "/retry", retry, "Try a dead or cancelled job again", "operate", body=JobRetry,
         **_CHANGE),
    _one("POST", "/run-now", run_now, "Start a waiting job now", "operate", body=Empty, **_CHANGE),
    _one("POST", "/duplicate", duplicate, "Make another job like this one", "operate",
         body=JobCopy, answer=MadeJob, status=201, errors=("not-found", "busy"), idempotent=True),
    _one("GET", "/payload", content, "Payload, headers and result", "view", "enqueue",
         answer=JobContent),
    _one("GET", "/attempts", attempts, "Attempts that did not end well", "view", query=ListLimit,
         answer=AttemptPage),
    _one("GET", "/logs", logs, "Lines of its log", "view", query=LogQuery, answer=LogPage),
    _one("GET", "/events", events, "Its timeline", "view", answer=JobEvents),
    _one("GET", "/explain", explain, "Why it is not running", "view", answer=Reasons),
)  # fmt: skip
