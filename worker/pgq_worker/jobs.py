"""A claimed job, and what its handler sees of it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

from pgq import traces
from pgq.answers import Cancel
from pgq.traces import Trace

if TYPE_CHECKING:
    from asyncio import Task

    from opentelemetry.trace import Span

    from pgq.context import Level
    from pgq_worker.lines import Lines

Stop = Literal["timeout", "cancel", "release", "lost"]
"""Why: out of time, cancelled, the worker stops, the lease is somebody else's by now."""


Row = tuple[int, str, str, str | bytes | None, int, int, float, bool, str | bytes | None]
"""id, queue, task, payload, attempt, max_attempts, timeout in seconds, suspect, headers."""


class ClaimedJob:
    """A job in hand, from its claim until what it came to is stored."""

    __slots__ = (
        "attempt",
        "begun_at",
        "cancels",
        "claimed_at",
        "handler",
        "headers",
        "id",
        "lines",
        "max_attempts",
        "noted",
        "payload",
        "queue",
        "ran",
        "runner",
        "slot",
        "span",
        "stop_reason",
        "suspect",
        "task",
        "timeout",
        "token",
    )

    def __init__(
        self,
        row: Row,
        token: bytes,
        slot: int = 0,
        claimed_at: float = 0.0,
    ) -> None:
        (
            self.id,
            self.queue,
            self.task,
            self.payload,
            self.attempt,
            self.max_attempts,
            self.timeout,
            self.suspect,
            self.headers,
        ) = row
        self.token = token
        self.slot = slot
        self.claimed_at = claimed_at
        self.begun_at = 0.0
        self.ran = 0.0
        self.lines = 0
        self.noted = False
        self.runner: Task[Any] | None = None
        self.handler: Task[Any] | None = None
        self.cancels = 0
        self.stop_reason: Stop | None = None
        self.span: Span | None = None
        """Of its run, where spans are made."""

    @property
    def trace(self) -> Trace | None:
        """The place of its run in a trace; without a span of its own, where that came from."""
        if self.span is not None:
            from pgq import spans

            return spans.place(self.span)
        return traces.of(self.headers)

    @property
    def deadline(self) -> float:
        """On the clock of `time.monotonic`; infinite until the handler begins."""
        return self.begun_at + self.timeout if self.begun_at else math.inf

    def stop(self, reason: Stop) -> None:
        """Tell the handler to stop: an async one is cancelled, a sync one sees `cancelled`.

        The lease being lost outdoes the other reasons: nothing may be said about the job any more.
        """
        if self.stop_reason is None or reason == "lost":
            self.stop_reason = reason
        if self.handler is not None:
            self.cancels += 1
            self.handler.cancel()


class JobContext:
    """The `pgq.Context` of a claimed job."""

    __slots__ = ("_headers", "_job", "_lines")

    def __init__(self, job: ClaimedJob, lines: Lines) -> None:
        self._job = job
        self._lines = lines
        self._headers: Mapping[str, Any] | None = None

    @property
    def id(self) -> int:
        return self._job.id

    @property
    def token(self) -> UUID:
        return UUID(bytes=self._job.token)

    @property
    def task(self) -> str:
        return self._job.task

    @property
    def queue(self) -> str:
        return self._job.queue

    @property
    def attempt(self) -> int:
        return self._job.attempt

    @property
    def max_attempts(self) -> int:
        return self._job.max_attempts

    @property
    def deadline(self) -> float:
        return self._job.deadline

    @property
    def headers(self) -> Mapping[str, Any]:
        if self._headers is None:
            value = json.loads(self._job.headers) if self._job.headers else {}
            self._headers = value if isinstance(value, dict) else {}
        return self._headers

    @property
    def cancelled(self) -> bool:
        return self._job.stop_reason is not None

    def check_cancelled(self) -> None:
        if self.cancelled:
            raise Cancel("told to stop")

    def log(self, message: str, level: Level = "info") -> None:
        self._lines.add(self._job, message, level)

    def progress(self, share: float, message: str | None = None) -> None:
        share = min(max(float(share), 0.0), 1.0)
        self._lines.add(self._job, message or f"{share:.0%}", "info", share)
