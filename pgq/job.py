"""A job that was enqueued, as its enqueuer sees it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

import anyio

from pgq.connections import Rows, Statement
from pgq.errors import JobFailed, WaitTimeout

if TYPE_CHECKING:
    from pgq.app import App

State = Literal["scheduled", "ready", "running", "retrying", "succeeded", "cancelled", "dead"]


@dataclass(frozen=True, slots=True)
class Status:
    """How a job stands; what does not apply is None."""

    state: State
    attempt: int
    max_attempts: int
    crashes: int
    run_at: datetime | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    worker_name: str | None
    reason: str | None
    error_class: str | None
    message: str | None
    cancel_requested: bool


_STATUS = (
    f"select {', '.join(f'j.{name}' for name in Status.__dataclass_fields__)} "
    "from pgq.get_job(p_id => cast(? as bigint)) as j"
)
_RESULT = "select cast(p.result as text) from pgq.get_payload(p_id => cast(? as bigint)) as p"
_CANCEL = "select pgq.cancel(p_id => cast(? as bigint), p_reason => cast(? as text))"


@dataclass(frozen=True, slots=True)
class Job:
    """A job. All verbs use the app's own sessions, not the connection that enqueued it."""

    id: int
    task: str
    created: bool = True
    """False when its unique key was taken: this is the job that has it."""
    app: App = field(kw_only=True, repr=False, compare=False)

    async def wait(self, timeout: float | None = None) -> Any:  # noqa: ASYNC109
        """Wait until the job has ended, for `timeout` seconds at most, and return its result.

        Raises `JobFailed` when it ends dead or cancelled, `WaitTimeout` when it does not end in
        time, `NoSuchJob` when it was never committed or is no longer kept.
        """
        for delay in _delays(self.id, timeout):
            if self._has_result(await self.app.fetch(self._statement(_STATUS))):
                return _result(await self.app.fetch(self._statement(_RESULT)))
            await anyio.sleep(delay)
        raise AssertionError("unreachable")

    def wait_sync(self, timeout: float | None = None) -> Any:
        """`wait`, without an event loop."""
        for delay in _delays(self.id, timeout):
            if self._has_result(self.app.fetch_sync(self._statement(_STATUS))):
                return _result(self.app.fetch_sync(self._statement(_RESULT)))
            time.sleep(delay)
        raise AssertionError("unreachable")

    async def status(self) -> Status:
        """How the job stands now."""
        return Status(*(await self.app.fetch(self._statement(_STATUS)))[0])

    def status_sync(self) -> Status:
        """`status`, without an event loop."""
        return Status(*self.app.fetch_sync(self._statement(_STATUS))[0])

    async def cancel(self, reason: str | None = None) -> str:
        """Cancel the job: `cancelled` at once when it waits, `requested` when it runs."""
        return _word(await self.app.fetch(Statement(_CANCEL, (self.id, reason))))

    def cancel_sync(self, reason: str | None = None) -> str:
        """`cancel`, without an event loop."""
        return _word(self.app.fetch_sync(Statement(_CANCEL, (self.id, reason))))

    def _statement(self, sql: str) -> Statement:
        return Statement(sql, (self.id,))

    def _has_result(self, rows: Rows) -> bool:
        status = Status(*rows[0])
        if status.state in ("dead", "cancelled"):
            raise JobFailed(self.id, status.state, status.message or status.reason)
        return status.state == "succeeded"


def _delays(job_id: int, timeout: float | None) -> Iterator[float]:
    """Pauses between looks at the job, growing from 10 ms to 1 s; raises when the time is over."""
    deadline = None if timeout is None else time.monotonic() + timeout
    delay = 0.01
    while True:
        left = 1.0 if deadline is None else deadline - time.monotonic()
        yield max(0.0, min(delay, left))
        if left <= 0:
            raise WaitTimeout(f"job {job_id} did not end within {timeout:g} s; it goes on")
        delay = min(1.0, delay * 1.3)


def _result(rows: Rows) -> Any:
    text = rows[0][0]
    return None if text is None else json.loads(text)


def _word(rows: Rows) -> str:
    return str(rows[0][0])
