"""Log lines of jobs on their way to the database."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, get_args

import psycopg

from pgq.context import Level
from pgq.errors import PgqError
from pgq_worker import arrays, logs

if TYPE_CHECKING:
    from pgq_worker.jobs import ClaimedJob
    from pgq_worker.sessions import Session

log = logs.get("lines")

CAPACITY = 10_000
"""Lines that wait to be stored; further ones are dropped and counted."""
_BATCH = 500
_PAUSE = 0.2
_LENGTH = 20_000
"""Characters of a line that are kept."""
_NOT_HANDLERS = ("pgq.worker", "opentelemetry.")
"""Loggers of what runs handlers, or watches them."""
_LEVELS = frozenset(get_args(Level))

LOG_MANY = (
    "select id from pgq.log_many(p_ids => ?::bigint[], p_tokens => ?::uuid[], "
    "p_messages => ?::text[], p_levels => ?::text[], p_progresses => ?::real[], "
    "p_ages => ?::float8[])"
)

_Line = tuple[int, bytes, str, str, float | None, float]


class Lines:
    """Takes lines from handlers in any thread, and stores them in batches, in their order."""

    def __init__(self, session: Session | None) -> None:
        self._session = session
        self._waiting: deque[_Line] = deque()
        self._guard = threading.Lock()
        self._taken = 0
        self._stored = 0
        self._dropped = 0
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self._hurry = asyncio.Event()
        self._progress = asyncio.Event()

    def add(self, job: ClaimedJob, message: str, level: str, progress: float | None = None) -> None:
        """Take a line. Never blocks and never fails."""
        line = (
            job.id,
            job.token,
            str(message)[:_LENGTH],
            level if level in _LEVELS else "info",
            progress,
            time.monotonic(),
        )
        with self._guard:
            if len(self._waiting) >= CAPACITY:
                self._dropped += 1
                return
            self._waiting.append(line)
            self._taken += 1
            job.lines = self._taken
            first = len(self._waiting) == 1
        if first:
            self._loop.call_soon_threadsafe(self._news.set)

    async def stored(self, job: ClaimedJob) -> None:
        """Wait until the job's lines are stored: once it has ended it is too late for them."""
        while self._stored < job.lines:
            self._progress.clear()
            self._hurry.set()
            self._news.set()
            await self._progress.wait()

    async def run(self) -> None:
        """Store what comes, for good."""
        while True:
            await self._news.wait()
            if not self._hurry.is_set() and len(self._waiting) < _BATCH:
                try:
                    async with asyncio.timeout(_PAUSE):
                        await self._hurry.wait()
                except TimeoutError:
                    pass
            self._news.clear()
            self._hurry.clear()
            while self._waiting:
                await self.flush()

    async def flush(self) -> None:
        """Store one batch of what waits."""
        with self._guard:
            batch = [self._waiting.popleft() for _ in range(min(_BATCH, len(self._waiting)))]
            dropped, self._dropped = self._dropped, 0
        if dropped:
            log.warning(
                "%d log lines of jobs were dropped: they came faster than they could be stored",
                dropped,
            )
        if batch and self._session is not None:
            try:
                rows = await self._session.insist(LOG_MANY, arguments(batch))
            except (psycopg.Error, PgqError) as error:
                log.warning("%d log lines of jobs were refused: %s", len(batch), error)
            else:
                for (job_id,) in rows:
                    log.debug("log lines of job %d came too late", job_id)
        self._stored += len(batch)
        self._progress.set()

    def drain(self) -> list[_Line]:
        """Take all that waits, for a caller who stores it himself."""
        with self._guard:
            lines = list(self._waiting)
            self._waiting.clear()
            self._stored = self._taken
        return lines


def arguments(batch: list[_Line]) -> tuple[str | arrays.Binary, ...]:
    """What `LOG_MANY` takes."""
    now = time.monotonic()
    ids, tokens, messages, levels, progresses, times = zip(*batch, strict=True)
    return (
        arrays.bigints(ids),
        arrays.uuids(tokens),
        arrays.texts(messages),
        arrays.plain(levels),
        arrays.numbers(progresses),
        arrays.doubles([max(now - at, 0.0) for at in times]),
    )


class Capture(logging.Handler):
    """Puts records of `logging` that a handler makes into its job's log."""

    def __init__(self, lines: Lines, level: int = logging.INFO) -> None:
        super().__init__(level)
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        job: Any = logs.current_job.get()
        if job is None or record.name.startswith(_NOT_HANDLERS):
            return
        try:
            message = self.format(record)
        except Exception:
            self.handleError(record)
            return
        self._lines.add(job, message, record.levelname.lower())
