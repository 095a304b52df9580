"""Stores what jobs came to, in batches."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import cast
from uuid import UUID

import psycopg

from pgq import errors
from pgq.connections import Rows
from pgq_worker import arrays, logs
from pgq_worker.jobs import ClaimedJob
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
from pgq_worker.sessions import Session
from pgq_worker.slots import Slots

log = logs.get("reports")

BATCH = 500
"""Jobs in one call."""
FEW = BATCH // 4
PAUSE = 0.003
"""Seconds that fewer successes wait for more, while other jobs run."""
OTHERS_PAUSE = 0.02
"""And what did not succeed, which is rarer."""

COMPLETE_MANY = (
    "select id, outcome from pgq.complete_many(p_ids => ?::bigint[], p_tokens => ?::uuid[], "
    "p_results => ?::json[], p_ran_seconds => ?::float8[])"
)
FAIL_MANY = (
    "select id, state from pgq.fail_many(p_ids => ?::bigint[], p_tokens => ?::uuid[], "
    "p_error_classes => ?::text[], p_messages => ?::text[], p_tracebacks => ?::text[], "
    "p_permanents => ?::boolean[], "
    "p_retry_ins => array(select make_interval(secs => s) from unnest(?::float8[]) "
    "with ordinality u (s, n) order by n), p_reasons => ?::text[], p_ran_seconds => ?::float8[])"
)
RELEASE = (
    "select id from pgq.release(p_ids => ?::bigint[], p_tokens => ?::uuid[], "
    "p_begun => ?::boolean[])"
)
DECLINE = "select id, state from pgq.decline(p_ids => ?::bigint[], p_tokens => ?::uuid[])"
SNOOZE = "select pgq.snooze(p_id => ?, p_token => ?::uuid, p_delay => make_interval(secs => ?))"
CANCEL = "select pgq.cancel(p_id => ?, p_token => ?::uuid, p_reason => ?)"

Report = tuple[ClaimedJob, Outcome]


def complete_arguments(batch: Sequence[Report]) -> tuple[str | arrays.Binary | None, ...]:
    """What `COMPLETE_MANY` takes, for reports of success."""
    results = [cast(Succeeded, outcome).result for _, outcome in batch]
    return (
        arrays.bigints([job.id for job, _ in batch]),
        arrays.uuids([job.token for job, _ in batch]),
        arrays.texts(results) if any(results) else None,
        arrays.doubles([job.ran for job, _ in batch]),
    )


def fail_arguments(batch: Sequence[Report]) -> tuple[str | arrays.Binary, ...]:
    """What `FAIL_MANY` takes, for reports of failure."""
    failures = [cast(Failed, outcome) for _, outcome in batch]
    return (
        arrays.bigints([job.id for job, _ in batch]),
        arrays.uuids([job.token for job, _ in batch]),
        arrays.texts([f.error_class for f in failures]),
        arrays.texts([f.message for f in failures]),
        arrays.texts([f.traceback for f in failures]),
        arrays.flags([f.permanent for f in failures]),
        arrays.numbers(
            [None if f.retry_in is None else max(f.retry_in.total_seconds(), 0.0) for f in failures]
        ),
        arrays.plain([f.reason for f in failures]),
        arrays.doubles([job.ran for job, _ in batch]),
    )


class Reports:
    """Takes what jobs came to; stores it over two sessions, successes apart from the rest.

    Every call may be repeated, so a restart of the database delays a report and loses none.
    """

    def __init__(self, completions: Session, others: Session, slots: Slots) -> None:
        self._completions = completions
        self._others = others
        self._slots = slots
        self._succeeded: deque[Report] = deque()
        self._other: deque[Report] = deque()
        self._success = asyncio.Event()
        self._otherwise = asyncio.Event()
        self._hurry = asyncio.Event()
        self._stored = asyncio.Event()
        self._unstored = 0
        self.on_stored: Callable[[], None] = lambda: None

    def put(self, job: ClaimedJob, outcome: Outcome) -> None:
        """Take what a job came to."""
        self._unstored += 1
        if type(outcome) is Succeeded:
            self._succeeded.append((job, outcome))
            self._success.set()
        else:
            self._other.append((job, outcome))
            self._otherwise.set()

    def hurry(self) -> None:
        """Nothing else runs, so nothing else will come: store at once what there is."""
        self._hurry.set()

    async def stored(self) -> None:
        """Wait until everything is stored."""
        while self._unstored:
            self._hurry.set()
            self._stored.clear()
            await self._stored.wait()

    async def run_completions(self) -> None:
        """Store successes, for good."""
        while True:
            await self._complete(await self._batch(self._succeeded, self._success, PAUSE))

    async def run_others(self) -> None:
        """Store everything else, for good."""
        while True:
            batch = await self._batch(self._other, self._otherwise, OTHERS_PAUSE)
            for kind, store in (
                (Failed, self._fail),
                (Released, self._release),
                (Declined, self._decline),
            ):
                if some := [report for report in batch if isinstance(report[1], kind)]:
                    await store(some)
            for job, outcome in batch:
                if isinstance(outcome, Snoozed | Cancelled | Lost):
                    await self._end(job, outcome)

    async def _batch(
        self, reports: deque[Report], arrived: asyncio.Event, pause: float
    ) -> list[Report]:
        await arrived.wait()
        if len(reports) < FEW and not self._hurry.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._hurry.wait()
        self._hurry.clear()
        batch = [reports.popleft() for _ in range(min(BATCH, len(reports)))]
        if not reports:
            arrived.clear()
        return batch

    async def _complete(self, batch: list[Report]) -> None:
        rows = await self._divided(
            batch, lambda some: self._completions.insist(COMPLETE_MANY, complete_arguments(some))
        )
        outcomes = {row[0]: row[1] for row in rows}
        if "result too large" in outcomes.values():
            batch = self._without_large(batch, outcomes)
        if "lost" in outcomes.values():
            for job, _ in batch:
                if outcomes.get(job.id) == "lost":
                    self._note_lost(job)
        self._give(batch)

    def _without_large(self, batch: list[Report], outcomes: dict[int, str]) -> list[Report]:
        """Have those fail whose results are larger than results may be; the others."""
        others = []
        for job, outcome in batch:
            if outcomes.get(job.id) != "result too large":
                others.append((job, outcome))
                continue
            size = len((cast(Succeeded, outcome).result or "").encode())
            failed = Failed(
                "ResultTooLarge",
                f"its result of {size} bytes is larger than results may be; "
                "store it elsewhere and return where it is",
                permanent=True,
            )
            self._unstored -= 1
            self.put(job, failed)
            log.warning("%s", failed.message, extra=logs.about(job))
        return others

    async def _fail(self, batch: list[Report]) -> None:
        rows = await self._divided(
            batch, lambda some: self._others.insist(FAIL_MANY, fail_arguments(some))
        )
        states = {row[0]: row[1] for row in rows}
        for job, outcome in batch:
            state = states.get(job.id, "lost")
            if state == "lost":
                self._note_lost(job)
            elif state == "dead":
                message = cast(Failed, outcome).message
                log.error("dead: %s", message[:500], extra=logs.about(job, state=state))
        self._give(batch)

    async def _release(self, batch: list[Report]) -> None:
        await self._divided(
            batch,
            lambda some: self._others.insist(
                RELEASE,
                (
                    *_pairs(some),
                    arrays.flags([cast(Released, outcome).begun for _, outcome in some]),
                ),
            ),
        )
        self._give(batch)

    async def _decline(self, batch: list[Report]) -> None:
        rows = await self._divided(batch, lambda some: self._others.insist(DECLINE, _pairs(some)))
        states = {row[0]: row[1] for row in rows}
        for job, _ in batch:
            log.warning(
                "no task of this app has this name; put back",
                extra=logs.about(job, queue=job.queue, state=states.get(job.id)),
            )
        self._give(batch)

    async def _end(self, job: ClaimedJob, outcome: Snoozed | Cancelled | Lost) -> None:
        try:
            match outcome:
                case Snoozed(delay):
                    seconds = max(delay.total_seconds(), 0.0)
                    await self._others.insist(SNOOZE, (job.id, UUID(bytes=job.token), seconds))
                case Cancelled(reason):
                    text = None if reason is None else arrays.clean(reason)
                    await self._others.insist(CANCEL, (job.id, UUID(bytes=job.token), text))
                case Lost():
                    self._note_lost(job)
        except (errors.LeaseLost, errors.NoSuchJob, errors.IllegalTransition):
            # Repeated after its answer was lost, or somebody else's by now.
            self._note_lost(job)
        except (errors.PgqError, psycopg.Error) as error:
            await self._refused((job, outcome), error)
        self._give([(job, outcome)])

    async def _divided(
        self, batch: list[Report], store: Callable[[list[Report]], Awaitable[Rows]]
    ) -> Rows:
        """Store a batch; when the database refuses it, its halves, down to the one at fault."""
        try:
            return await store(batch)
        except (psycopg.Error, errors.PgqError) as error:
            if len(batch) > 1:
                middle = len(batch) // 2
                return [
                    *await self._divided(batch[:middle], store),
                    *await self._divided(batch[middle:], store),
                ]
            return await self._refused(batch[0], error)

    async def _refused(self, report: Report, error: Exception) -> Rows:
        job, outcome = report
        log.error("the database refused what it came to: %s", error, extra=logs.about(job))
        if isinstance(outcome, Released | Declined):
            return []
        failed = Failed("Refused", f"the database refused what it came to: {error}", permanent=True)
        try:
            await self._others.insist(FAIL_MANY, fail_arguments([(job, failed)]))
        except (psycopg.Error, errors.PgqError):
            log.exception("it goes back when its lease is looked at", extra=logs.about(job))
        return [(job.id, "refused")]

    def _give(self, batch: list[Report]) -> None:
        give = self._slots.give
        for job, _ in batch:
            give(job.slot)
        self._unstored -= len(batch)
        self._after()

    def _after(self) -> None:
        self._stored.set()
        self.on_stored()

    def _note_lost(self, job: ClaimedJob) -> None:
        log.warning("its lease was lost; what it came to is dropped", extra=logs.about(job))


def _pairs(batch: Sequence[Report]) -> tuple[arrays.Binary, arrays.Binary]:
    return (
        arrays.bigints([job.id for job, _ in batch]),
        arrays.uuids([job.token for job, _ in batch]),
    )
