"""Runs handlers in tests: one inline, or all that is ready in a database.

They run as in a worker: arguments are read from JSON; timeouts, answers and errors mean the same.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar
from uuid import UUID, uuid4

import anyio

from pgq import App, connections, database
from pgq.connections import Rows, Statement
from pgq.task import Task
from pgq_worker import arrays, logs
from pgq_worker.execution import execution
from pgq_worker.jobs import ClaimedJob, Row
from pgq_worker.lines import Lines
from pgq_worker.outcomes import (
    Cancelled,
    Declined,
    Failed,
    Lost,
    Outcome,
    Released,
    Snoozed,
    Succeeded,
)
from pgq_worker.slots import Slots

T = TypeVar("T")

_LONGEST = 1_000_000.0


@dataclass(frozen=True, slots=True)
class Line:
    """A line that a handler logged, or its progress."""

    level: str
    message: str
    progress: float | None


@dataclass(frozen=True, slots=True)
class Ran:
    """A job that was run."""

    id: int
    task: str
    outcome: Outcome
    """What it came to; a class of `pgq_worker.outcomes`."""
    lines: tuple[Line, ...]

    @property
    def result(self) -> Any:
        """What the handler returned, decoded from JSON. Raises `AssertionError` if it did not."""
        if not isinstance(self.outcome, Succeeded):
            raise AssertionError(f"task {self.task!r} did not succeed: {_said(self.outcome)}")
        return None if self.outcome.result is None else json.loads(self.outcome.result)


async def run_task(task: Task[..., ..., Any], *args: Any, **kwargs: Any) -> Ran:
    """Run a task's handler here and now, as a job with these arguments; no database is needed."""
    payload = task.dump_json(args, kwargs)
    row = (1, "default", task.name, payload, 1, 1, _LONGEST, False, None)
    return await _Runner(task.app).run(row, str(uuid4()))


def run_task_sync(task: Task[..., ..., Any], *args: Any, **kwargs: Any) -> Ran:
    """`run_task`, without an event loop."""
    return _in_loop(partial(run_task, task, *args, **kwargs))


async def drain(
    app: App, where: Any, *, queues: Sequence[str] | None = None, limit: int = 10_000
) -> list[Ran]:
    """Run what is ready in these queues, or in all, until nothing is or `limit` jobs were run.

    `where` is a connection string or a connection: over that, jobs of its own open transaction are
    run too, and what they come to is committed or rolled back with it. Jobs that become due later,
    such as retries, are left.
    """
    if not isinstance(where, str):
        return await _Drain(app, _over(where), queues).run(limit)
    session = await database.connect_async(where, application_name="pgq drain")
    async with session:
        return await _Drain(app, _over(session), queues).run(limit)


def drain_sync(
    app: App, where: Any, *, queues: Sequence[str] | None = None, limit: int = 10_000
) -> list[Ran]:
    """`drain`, without an event loop; a connection has to be a synchronous one."""
    return _in_loop(partial(drain, app, where, queues=queues, limit=limit))


Fetch = Callable[[Statement], Coroutine[Any, Any, Rows]]


class _Runner:
    """Runs one job after the other."""

    def __init__(self, app: App) -> None:
        self._slots = Slots(size=1)
        self._lines = Lines(None)
        self._execution = execution(app, slots=self._slots, lines=self._lines, mask=logs.masker())

    async def run(self, row: Row, token: str) -> Ran:
        job = ClaimedJob(row, UUID(token).bytes, slot=self._slots.take(row[0], bytes(16), row[6]))
        loop = asyncio.get_running_loop()
        timer = loop.call_later(min(job.timeout, _LONGEST), job.stop, "timeout")
        try:
            # Either has a context of its own, so that what it leaves there is gone after it.
            if self._execution.needs_thread(job):
                outcome = await asyncio.to_thread(self._execution.call, job)
            else:
                job.runner = loop.create_task(self._execution.run(job))
                outcome = await job.runner
        finally:
            timer.cancel()
            self._slots.give(job.slot)
        lines = tuple(Line(line[3], line[2], line[4]) for line in self._lines.drain())
        return Ran(job.id, job.task, outcome, lines)


class _Drain:
    def __init__(self, app: App, fetch: Fetch, queues: Sequence[str] | None) -> None:
        self._runner = _Runner(app)
        self._reserved = app.takes_reserved
        self._fetch = fetch
        self._queues = queues

    async def run(self, limit: int) -> list[Ran]:
        ran: list[Ran] = []
        while len(ran) < limit:
            queues = self._queues
            if queues is None:
                rows = await self._fetch(Statement("select q.queue from pgq.list_queues() as q"))
                queues = [row[0] for row in rows]
            token = str(uuid4())
            claimed = await self._claim(queues, token) if queues else []
            for row in claimed:
                ran.append(done := await self._runner.run(row, token))
                await self._report(done, token)
            if not claimed and not (await self._fetch(Statement("select pgq.promote()")))[0][0]:
                break
        return ran

    async def _claim(self, queues: Sequence[str], token: str) -> list[Row]:
        rows = await self._fetch(
            Statement(
                "select c.id, c.queue, c.task, cast(c.payload as text), c.attempt, c.max_attempts, "
                "cast(extract(epoch from c.timeout) as double precision), c.suspect, "
                "cast(c.headers as text) from pgq.claim(p_worker => 0, p_executor => 0, "
                "p_token => cast(cast(? as text) as uuid), "
                "p_queues => cast(cast(? as text) as text[]), "
                "p_limits => cast(cast(? as text) as integer[]), "
                "p_lease => interval '1 hour', p_reserved => ?) as c",
                (token, arrays.texts(queues), arrays.numbers([1] * len(queues)), self._reserved),
            )
        )
        return [tuple(row) for row in rows]

    async def _report(self, ran: Ran, token: str) -> None:
        for line in ran.lines:
            share = None if line.progress is None else str(line.progress)
            await self._say(
                ran.id, token, "log", message=line.message, level=line.level, progress=share
            )
        match ran.outcome:
            case Succeeded(result):
                await self._say(ran.id, token, "complete", result=result)
            case Failed() as failed:
                await self._say(
                    ran.id,
                    token,
                    "fail",
                    error_class=failed.error_class,
                    message=failed.message,
                    traceback=failed.traceback,
                    permanent="t" if failed.permanent else "f",
                    retry_in=_seconds(failed.retry_in),
                    reason=failed.reason,
                )
            case Snoozed(delay):
                await self._say(ran.id, token, "snooze", delay=_seconds(delay))
            case Cancelled(reason):
                await self._say(ran.id, token, "cancel", reason=reason)
            case Declined():
                await self._fetch(
                    Statement(
                        "select d.id from pgq.decline(array[cast(? as bigint)], "
                        "array[cast(cast(? as text) as uuid)]) as d",
                        (ran.id, token),
                    )
                )
            case Released() | Lost():
                return

    async def _say(self, job_id: int, token: str, verb: str, **values: str | None) -> None:
        given = {name: value for name, value in values.items() if value is not None}
        more = "".join(
            f", p_{name} => cast(cast(? as text) as {_TYPES.get(name, 'text')})" for name in given
        )
        await self._fetch(
            Statement(
                f"select cast(x as text) from pgq.{verb}(p_id => cast(? as bigint), "
                f"p_token => cast(cast(? as text) as uuid){more}) as x",
                (job_id, token, *(arrays.clean(value) for value in given.values())),
            )
        )


_TYPES = {
    "result": "json",
    "permanent": "boolean",
    "retry_in": "interval",
    "delay": "interval",
    "progress": "real",
}


def _over(connection: Any) -> Fetch:
    async def fetch(statement: Statement) -> Rows:
        if connections.is_async(connection):
            return await connections.fetch(connection, statement)
        return connections.fetch_sync(connection, statement)

    return fetch


def _seconds(delay: Any) -> str | None:
    return None if delay is None else f"{max(delay.total_seconds(), 0)} seconds"


def _said(outcome: Outcome) -> str:
    if isinstance(outcome, Failed):
        return f"{outcome.error_class}: {outcome.message}\n{outcome.traceback or ''}"
    return repr(outcome)


def _in_loop(function: Callable[[], Coroutine[Any, Any, T]]) -> T:
    return anyio.run(function)
