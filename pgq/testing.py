"""Assertions on what was enqueued, for the tests of programs that enqueue.

They look over a connection of the caller's (psycopg's, asyncpg's, SQLAlchemy's, Django's), so they
see what its transaction has enqueued before it is committed. Its role needs the functions
`pgq.list_jobs` and `pgq.get_payload`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypedDict, Unpack

from pgq import connections
from pgq.connections import Rows, Statement
from pgq.task import Task

_LIST = (
    "select j.id, j.task, j.queue, j.priority, j.state, j.tags, "
    "cast(p.payload as text), cast(p.headers as text) "
    "from (select * from pgq.list_jobs("
    "p_task => cast(? as text), p_queue => cast(? as text), p_limit => 10000) "
    "where id is not null) as j "
    "cross join lateral pgq.get_payload(p_id => j.id) as p order by j.id"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Enqueued:
    """A job that was found."""

    id: int
    task: str
    queue: str
    priority: int
    state: str
    tags: tuple[str, ...]
    payload: Any
    headers: Mapping[str, Any]


class Wanted(TypedDict, total=False):
    """What to look for; what is left out may be anything."""

    task: str | Task[..., ..., Any]
    queue: str
    priority: int
    state: str
    tags: tuple[str, ...]
    payload: Any
    """Decoded JSON: `{"to": "ann"}` for `mail.enqueue("ann")` and `mail.enqueue(to="ann")`."""
    headers: Mapping[str, Any]


async def enqueued(connection: Any, **wanted: Unpack[Wanted]) -> list[Enqueued]:
    """Jobs in any state, oldest first, among the newest 10,000 of the task and queue."""
    return _matching(await connections.fetch(connection, _statement(wanted)), wanted)


def enqueued_sync(connection: Any, **wanted: Unpack[Wanted]) -> list[Enqueued]:
    """`enqueued`, without an event loop."""
    return _matching(connections.fetch_sync(connection, _statement(wanted)), wanted)


async def assert_enqueued(
    connection: Any, *, count: int | None = None, **wanted: Unpack[Wanted]
) -> list[Enqueued]:
    """Assert that such jobs were enqueued, `count` of them when given, and return them.

    When it fails it tells what else was enqueued.
    """
    found = await enqueued(connection, **wanted)
    if not _holds(found, count):
        raise AssertionError(_complaint(found, await enqueued(connection), count, wanted))
    return found


def assert_enqueued_sync(
    connection: Any, *, count: int | None = None, **wanted: Unpack[Wanted]
) -> list[Enqueued]:
    """`assert_enqueued`, without an event loop."""
    found = enqueued_sync(connection, **wanted)
    if not _holds(found, count):
        raise AssertionError(_complaint(found, enqueued_sync(connection), count, wanted))
    return found


def _holds(found: list[Enqueued], count: int | None) -> bool:
    return len(found) == count if count is not None else bool(found)


def _statement(wanted: Wanted) -> Statement:
    return Statement(_LIST, (_name(wanted.get("task")), wanted.get("queue")))


def _name(task: str | Task[..., ..., Any] | None) -> str | None:
    return task.name if isinstance(task, Task) else task


def _matching(rows: Rows, wanted: Wanted) -> list[Enqueued]:
    jobs = (
        Enqueued(
            id=id_,
            task=task,
            queue=queue,
            priority=priority,
            state=state,
            tags=tuple(tags),
            payload=json.loads(payload),
            headers=json.loads(headers) if headers else {},
        )
        for id_, task, queue, priority, state, tags, payload, headers in rows
    )
    plain = {name: value for name, value in wanted.items() if name != "task"}
    return [job for job in jobs if all(getattr(job, n) == value for n, value in plain.items())]


def _complaint(
    found: list[Enqueued], others: list[Enqueued], count: int | None, wanted: Wanted
) -> str:
    what = {**wanted, **({"task": _name(wanted["task"])} if "task" in wanted else {})}
    text = ", ".join(f"{name}={value!r}" for name, value in what.items()) or "any"
    lines = [f"  {j.task} in {j.queue}: {json.dumps(j.payload)}"[:200] for j in others[-20:]]
    expected = "at least 1 job" if count is None else f"{count} job{'s' * (count != 1)}"
    return "\n".join(
        [
            f"expected {expected} with {text}; there are {len(found)}",
            f"last of the {len(others)} that were enqueued:" if lines else "nothing was enqueued",
            *lines,
        ]
    )
