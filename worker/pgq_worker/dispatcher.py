"""Starts claimed jobs as there is room, and says how many more to claim."""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections import deque
from collections.abc import Mapping, Sequence
from uuid import UUID

from pgq_worker.execution import Execution
from pgq_worker.jobs import ClaimedJob, Row, Stop
from pgq_worker.lines import Lines
from pgq_worker.measures import Measures
from pgq_worker.outcomes import Outcome, Released
from pgq_worker.reports import Reports
from pgq_worker.slots import Slots
from pgq_worker.threads import Threads

PREFETCH = 1000
"""Most jobs that are claimed ahead."""
BYTES = 8_000_000
"""Most bytes of payloads that are claimed ahead, by the size of the last ones."""
AHEAD = 0.1
"""Seconds of work that are claimed ahead, at the rate of late."""
PATIENCE = 2.0
"""Seconds after which a job that was claimed ahead, and finds no room, is given back."""
_WINDOW = 0.1
"""Seconds after which that rate is reckoned anew; sooner when two jobs in each place have ended."""
_SHORTEST = 0.005


class Dispatcher:
    """Jobs in hand that wait or run. Each runs in a task of its own."""

    def __init__(
        self,
        execution: Execution,
        reports: Reports,
        lines: Lines,
        slots: Slots,
        *,
        limits: Mapping[str, int],
        concurrency: int,
        alone: bool,
        group: asyncio.TaskGroup,
        measures: Measures | None = None,
    ) -> None:
        self._execution = execution
        self._measures = measures
        self._reports = reports
        self._lines = lines
        self._slots = slots
        self._limits = limits
        self._concurrency = concurrency
        self._alone = alone
        self._group = group
        self._loop = asyncio.get_running_loop()
        self._context = contextvars.copy_context()
        """What a handler finds in it, rather than what the handler before it left."""
        self._waiting: dict[str, deque[ClaimedJob]] = {queue: deque() for queue in limits}
        self._order = deque(limits)
        self._waiting_count = 0
        self._running_in = dict.fromkeys(limits, 0)
        self.running: dict[int, ClaimedJob] = {}
        """By slot."""
        self.has_room = asyncio.Event()
        self.is_idle = asyncio.Event()
        self.is_idle.set()
        self._threads = Threads(self._call, self._called, self._fail, most=concurrency)
        self._prefetch = 0
        self._most = PREFETCH
        self._ended = 0
        self._window_at = time.monotonic()
        reports.on_stored = self._look_for_room

    # Room

    @property
    def free(self) -> int:
        """Jobs that could start at once."""
        return max(self._concurrency - len(self.running) - self._waiting_count, 0)

    def room(self) -> int:
        """Jobs to claim now; 0 as long as it is not worth a call.

        A job that is to be alone in its process is the only one until what it came to is stored.
        """
        if self._alone and self._slots.used_count:
            return 0
        held = len(self.running) + self._waiting_count
        room = min(self._concurrency + self._prefetch - held, self._slots.free_count)
        return room if room >= max(1, self._prefetch // 2) or (self.free and room > 0) else 0

    def room_in(self, queue: str, room: int) -> int:
        """Jobs to claim now of one queue, where there is room for `room` in all."""
        held = self._running_in[queue] + len(self._waiting[queue])
        return max(min(self._limits[queue] + self._prefetch - held, room), 0)

    def _look_for_room(self) -> None:
        if not self.has_room.is_set() and self.room():
            self.has_room.set()

    def _measure(self, now: float) -> None:
        self._ended += 1
        passed = now - self._window_at
        if passed >= _WINDOW or (self._ended >= 2 * self._concurrency and passed >= _SHORTEST):
            rate = self._ended / passed
            self._ended, self._window_at = 0, now
            self._prefetch = min(int(rate * AHEAD), self._most) if not self._alone else 0

    # Jobs

    def accept(self, rows: Sequence[Row], token: UUID) -> None:
        """Take what a claim returned."""
        raw, now = token.bytes, time.monotonic()
        take, waiting = self._slots.take, self._waiting
        for row in rows:
            waiting[row[1]].append(ClaimedJob(row, raw, take(row[0], raw, row[6]), now))
        self._waiting_count += len(rows)
        size = sum([len(row[3] or "") for row in rows])
        self._most = min(BYTES * len(rows) // (size or 1), PREFETCH)
        self._prefetch = min(self._prefetch, self._most)
        self.is_idle.clear()
        self._fill()

    def _fill(self) -> None:
        while self._waiting_count and len(self.running) < self._concurrency:
            for queue in self._order:
                if self._waiting[queue] and self._running_in[queue] < self._limits[queue]:
                    job = self._waiting[queue].popleft()
                    break
            else:
                return
            if len(self._order) > 1:
                self._order.rotate(-1)
            self._waiting_count -= 1
            self._running_in[queue] += 1
            self.running[job.slot] = job
            if self._execution.needs_thread(job):
                self._threads.put(job)
                continue
            # In a task group it would cost 0.9 us more.
            job.runner = asyncio.Task(
                self._run(job), loop=self._loop, name=job.task, context=self._context.copy()
            )

    async def _run(self, job: ClaimedJob) -> None:
        try:
            outcome = await self._execution.run(job)
            if job.lines:
                await self._lines.stored(job)
        except Exception as error:
            self._fail(error)
            raise
        job.runner = None
        self._end(job, outcome)

    def _call(self, job: ClaimedJob) -> Outcome:
        return self._context.copy().run(self._execution.call, job)

    def _called(self, job: ClaimedJob, outcome: Outcome) -> None:
        if job.lines:
            self._group.create_task(self._end_with_lines(job, outcome))
        else:
            self._end(job, outcome)

    async def _end_with_lines(self, job: ClaimedJob, outcome: Outcome) -> None:
        await self._lines.stored(job)
        self._end(job, outcome)

    def _fail(self, error: BaseException) -> None:
        """End the process: it is not a handler that failed."""
        self._group.create_task(_raise(error))

    def _end(self, job: ClaimedJob, outcome: Outcome) -> None:
        self._running_in[job.queue] -= 1
        del self.running[job.slot]
        self._measure(job.begun_at + job.ran)
        if self._measures is not None and job.begun_at:
            self._measures.ran(job.task, outcome, job.ran)
        self._reports.put(job, outcome)
        if self._waiting_count:
            self._fill()
            if self._waiting_count <= self._prefetch // 2:
                self._look_for_room()
        else:
            self._look_for_room()
            if not self.running:
                self.is_idle.set()
                self._reports.hurry()

    def stop(self, job_id: int, token: UUID, reason: Stop) -> None:
        """Stop one job, whether it waits or runs."""
        for job in self.running.values():
            if job.id == job_id and job.token == token.bytes:
                job.stop(reason)
        for jobs in self._waiting.values():
            for job in jobs:
                if job.id == job_id and job.token == token.bytes:
                    job.stop(reason)

    def stop_running(self, reason: Stop) -> None:
        """Stop all handlers that run."""
        for job in list(self.running.values()):
            job.stop(reason)

    def give_back(self, *, waited: float = 0.0) -> None:
        """Give back the jobs that have waited for room for so many seconds.

        None are claimed ahead then, until jobs end quickly again.
        """
        since = time.monotonic() - waited
        for jobs in self._waiting.values():
            while jobs and jobs[0].claimed_at <= since:
                self._waiting_count -= 1
                self._prefetch = 0
                self._reports.put(jobs.popleft(), Released(begun=False))
        if not self.running and not self._waiting_count:
            self.is_idle.set()
        self._look_for_room()


async def _raise(error: BaseException) -> None:
    raise error
