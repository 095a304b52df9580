"""Workers, and the tasks that they know."""

from __future__ import annotations

from pgq_server.call import Call
from pgq_server.documents import RawJson
from pgq_server.gateway import Row, verb
from pgq_server.models.base import columns_of
from pgq_server.models.workers import Drain, Task, Tasks, Worker, WorkerPath, Workers
from pgq_server.problems import Refusal
from pgq_server.route import API, Route

COLUMNS = columns_of(Worker)


async def list_workers(call: Call) -> Workers:
    """Workers that are up, or were lately."""
    rows = await call.db.rows("list_workers", COLUMNS)
    return Workers(items=[Worker(**row) for row in rows if _is_reached(call, row)])


async def show(call: Call[WorkerPath]) -> Worker:
    """A worker."""
    row = await call.db.row("get_worker", COLUMNS, p_id=call.path.id)
    if not _is_reached(call, row):
        raise Refusal("not-found", f"There is no worker {call.path.id}.")
    return Worker(**row)


async def drain(call: Call[WorkerPath, None, Drain]) -> Worker:
    """Have a worker take no more jobs, or take them again."""
    worker = call.path.id
    _, rows = await call.db.batch(
        verb("drain", p_worker=worker, p_on=call.body.on),
        verb("get_worker", COLUMNS, p_id=worker),
    )
    return Worker(**rows[0])


async def list_tasks(call: Call) -> Tasks:
    """Tasks that workers which are up know."""
    columns = ("task", "schema::text as arguments", "queues", "workers")
    rows = await call.db.rows("list_tasks", columns)
    return Tasks(
        items=[
            Task(
                task=row["task"],
                arguments=None if row["arguments"] is None else RawJson(row["arguments"]),
                queues=[queue for queue in row["queues"] if call.identity.reaches(queue)],
                workers=row["workers"],
            )
            for row in rows
            if _is_reached(call, row)
        ]
    )


def _is_reached(call: Call[WorkerPath] | Call, row: Row) -> bool:
    return any(call.identity.reaches(queue) for queue in row["queues"])


ROUTES = (
    Route(
        "GET",
        f"{API}/workers",
        list_workers,
        summary="Workers that are up, or were lately",
        tag="workers",
        scopes=("view",),
        reach="handler",
        answer=Workers,
    ),
    Route(
        "GET",
        f"{API}/workers/{{id}}",
        show,
        summary="A worker",
        tag="workers",
        scopes=("view",),
        reach="handler",
        path_model=WorkerPath,
        answer=Worker,
        errors=("not-found",),
    ),
    Route(
        "POST",
        f"{API}/workers/{{id}}/drain",
        drain,
        summary="Have a worker take no more jobs",
        description="It finishes what it has, and stays up.",
        tag="workers",
        scopes=("operate",),
        reach="service",
        path_model=WorkerPath,
        body=Drain,
        answer=Worker,
        errors=("not-found",),
        idempotent=True,
    ),
    Route(
        "GET",
        f"{API}/tasks",
        list_tasks,
        summary="Tasks that workers know, with the schemas of their arguments",
        tag="workers",
        scopes=("view", "enqueue"),
        reach="handler",
        answer=Tasks,
    ),
)
