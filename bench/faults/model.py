"""The queue as it shall be: the state machine of `sql/README.md`, in dictionaries.

A verb of the model changes what its session sees, and returns what the verb of the database has to
answer, or raises `Refused`. Where the database may choose (which due jobs, when a retry comes) it
is told what was chosen, and raises `Broken` when that was not allowed.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Literal
from uuid import UUID

from faults.transactions import Rows

HEARTBEAT = timedelta(minutes=5)
LEASE = timedelta(minutes=15)
TIMEOUT = timedelta(minutes=10)
BACKOFF = timedelta(hours=1)
BACKOFF_MAX = timedelta(hours=2)
MAX_ATTEMPTS = 2
MAX_CRASHES = 2
RESULT_LIMIT = 100
HOUR = timedelta(hours=1)
TOLERANCE = timedelta(minutes=1)
"""What an answer may take."""
CURSOR = timedelta(seconds=4)
"""Older due jobs are found by a sweep that is made now and then."""

LOST, NO_JOB, ILLEGAL, BUSY, EXPIRED = "PQ001", "PQ002", "PQ003", "PQ007", "PQ008"
NO_RECORD = "PQ009"
BLOCKED = "55P03"

Place = Literal["ready", "delayed", "lease", "finished", "dead"]
Pair = tuple[int, UUID]
Lane = tuple[str, int, bool, bool]
Verb = Literal["cancel", "retry", "run_now", "purge"]
STATES: dict[Verb, tuple[str, ...]] = {
    "cancel": ("scheduled", "ready", "retrying", "running"),
    "retry": ("dead", "cancelled"),
    "run_now": ("scheduled", "retrying"),
    "purge": ("dead",),
}
"""In which an operation takes jobs."""


class Refused(Exception):
    """The verb is refused with this SQLSTATE, and nothing happens."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Broken(AssertionError):
    """The database did what the model does not allow."""


@dataclass(frozen=True)
class Window:
    """When a job may be due: a moment that the database chooses between two."""

    low: datetime
    high: datetime


@dataclass(frozen=True)
class Job:
    """A job, and the row in which it stands."""

    id: int
    queue: str
    priority: int = 5
    key: str | None = None
    max_attempts: int | None = None
    run_at: datetime | None = None
    reserved: bool = False
    """For who asks for such."""
    place: Place = "ready"
    attempt: int = 0
    crashes: int = 0
    suspect: bool = False
    unknown: str = "no"
    """Whether a worker has declined it: no, new, old."""
    why: str = ""
    token: UUID | None = None
    worker: int | None = None
    executor: int | None = None
    expires: datetime | None = None
    overdue: datetime | None = None
    at: datetime | Window | None = None
    """When it is due, or died."""
    seq: int = 0
    attempts: tuple[tuple[int, str, bool, UUID], ...] = ()

    @property
    def state(self) -> str:
        """In the words of `pgq.job_status`."""
        if self.place == "delayed":
            return "retrying" if self.why == "retry" else "scheduled"
        return {"lease": "running", "finished": self.why}.get(self.place, self.place)

    @property
    def row(self) -> tuple[str, int]:
        """Its name among the rows."""
        return ("job", self.id)

    @property
    def is_unfinished(self) -> bool:
        """Whether it has its unique key."""
        return self.place in ("ready", "delayed", "lease")


@dataclass(frozen=True)
class Worker:
    """A worker, and until when its heartbeat lasts."""

    id: int
    expires: datetime
    is_offline: bool = False


@dataclass(frozen=True)
class Queue:
    """What a queue has of its own."""

    is_paused: bool = False
    max_attempts: int | None = None


@dataclass(frozen=True)
class Item:
    """A job that somebody wants."""

    queue: str
    priority: int
    key: str | None
    max_attempts: int | None
    run_at: datetime | None
    reserved: bool = False


@dataclass(frozen=True)
class Operation:
    """A verb for many jobs of a queue, and how far it is."""

    id: int
    verb: Verb
    queue: str
    up_to: int
    most: int
    state: str = "running"
    done: int = 0


def now() -> datetime:
    """By the clock that the database has too."""
    return datetime.now(UTC)


class Model:
    """The queue, as several sessions see it."""

    def __init__(self, clock: datetime) -> None:
        self.rows = Rows()
        self.clock = clock
        """The lease clock."""
        self.began: dict[int, datetime] = {}
        """When each open transaction began."""
        self.strays: set[tuple[int, int]] = set()
        """Job and seq of rows that a floor may have passed because their transaction was open."""
        self.stray_leases: set[Pair] = set()
        self.pruned_successes = 0

    # Looking

    def job(self, session: int, job: int) -> Job | None:
        """A job as a session sees it."""
        found: Job | None = self.rows.get(session, ("job", job))
        return found

    def jobs(self, session: int, *places: Place) -> list[Job]:
        """Jobs that a session sees in these places, or in any, by id."""
        found: Iterable[Job] = self.rows.all(session, "job")
        return sorted(
            (job for job in found if not places or job.place in places), key=lambda job: job.id
        )

    def leased(self, session: int, pair: Pair) -> Job | None:
        """The running job that a session sees under this token."""
        job = self.job(session, pair[0])
        return job if job and job.place == "lease" and job.token == pair[1] else None

    def queue(self, session: int, name: str) -> Queue:
        """A queue's own settings."""
        return self.rows.get(session, ("queue", name)) or Queue()

    def worker(self, session: int, worker: int) -> Worker | None:
        """A worker whose claims are not refused."""
        found: Worker | None = self.rows.get(session, ("worker", worker))
        return found if found and not found.is_offline and found.expires > self.clock else None

    def now(self, session: int) -> datetime:
        """When the session's transaction began."""
        return self.began.get(session) or now()

    def free(self, session: int, jobs: Iterable[Job]) -> list[Job]:
        """Those that no other session holds."""
        return [job for job in jobs if not self.rows.is_busy(session, job.row)]

    # Transactions

    def begin(self, session: int, at: datetime) -> None:
        self.rows.begin(session)
        self.began[session] = at

    def end(self, session: int, *, commit: bool) -> None:
        del self.began[session]
        self.rows.end(session, commit=commit)

    def note_strays(self) -> None:
        """Floors may move now: past rows that open transactions have made or taken."""
        for job in self.rows.pending("job"):
            if job and job.place == "ready":
                self.strays.add((job.id, job.seq))
            elif job and job.place == "lease":
                self.stray_leases.add((job.id, job.token))

    # Producers

    def holders(self, session: int, items: Sequence[Item]) -> list[int | None]:
        """Who has the key of each: a job, minus the number of an earlier one of these, or None."""
        taken: dict[tuple[str, str], int] = {}
        found: list[int | None] = []
        for n, item in enumerate(items, 1):
            if item.key is None:
                found.append(None)
                continue
            key = (item.queue, item.key)
            if self.rows.is_busy(session, ("key", *key)):
                raise Refused(BLOCKED)
            holder = self.rows.get(session, ("key", *key))
            found.append(holder or taken.get(key))
            if not found[-1]:
                taken[key] = -n
        return found

    def add(self, session: int, job: int, item: Item) -> None:
        """A job was made."""
        if item.key is not None:
            self.rows.put(session, ("key", item.queue, item.key), job)
        later = item.run_at is not None and item.run_at > now()
        self._put(
            session,
            Job(
                id=job,
                queue=item.queue,
                priority=item.priority,
                key=item.key,
                max_attempts=item.max_attempts,
                run_at=item.run_at,
                reserved=item.reserved,
                place="delayed" if later else "ready",
                why="scheduled" if later else "",
                at=item.run_at if later else None,
            ),
        )

    # Workers

    def register(self, session: int, worker: int) -> None:
        """A worker was entered."""
        self.rows.put(session, ("worker", worker), Worker(worker, self.clock + LEASE))

    def heartbeat(
        self, session: int, worker: int, pairs: Sequence[Pair], *, offline: bool
    ) -> tuple[set[int], set[int], bool]:
        """Jobs that are to be cancelled, those that are lost, and whether to claim nothing."""
        found = self.worker(session, worker)
        if not found:
            raise Refused(EXPIRED)
        if self.rows.is_busy(session, ("worker", worker), "no key update"):
            raise Refused(BLOCKED)
        expires = self.clock if offline else self.clock + LEASE
        self.rows.put(
            session,
            ("worker", worker),
            replace(found, expires=expires, is_offline=offline),
            "no key update",
        )
        cancelled = {job for job, token in pairs if self._is_unwanted(session, (job, token))}
        lost = {pair[0] for pair in pairs if not self.leased(session, pair)}
        return cancelled, lost, self._drains(session, worker)

    def give_back_unlisted(
        self,
        session: int,
        worker: int,
        pairs: Sequence[Pair],
        claims: Collection[UUID],
        gone: Iterable[int],
    ) -> None:
        """A heartbeat gave these jobs back, uncharged, because they were not listed."""
        for number in gone:
            job = self._of(session, number, "lease", "a heartbeat")
            if job.worker != worker or (job.id, job.token) in pairs or job.token in claims:
                raise Broken(f"a heartbeat of worker {worker} took job {job.id}")
            self._put_back(session, job)

    def claim(
        self, session: int, worker: int, token: UUID, queues: Sequence[str], limits: Sequence[int]
    ) -> None:
        """A claim, before it is answered."""
        if self.rows.is_busy(session, ("token", token)):
            raise Refused(BLOCKED)
        if worker and not self.worker(session, worker):
            raise Refused(EXPIRED)
        self.rows.hold(session, ("token", token))

    def claimed(
        self,
        session: int,
        got: Sequence[int],
        *,
        worker: int,
        executor: int,
        token: UUID,
        queues: Sequence[str],
        limits: Sequence[int],
        lease: timedelta | None,
        suspects: bool | None,
        reserved: bool,
    ) -> None:
        """A claim was answered with these jobs, in this order."""
        waiting = [
            job
            for job in self.free(session, self.jobs(session, "ready"))
            if job.queue in queues
            and limits[queues.index(job.queue)]
            and not self.queue(session, job.queue).is_paused
            and suspects in (None, job.suspect)
            and (reserved or not job.reserved)
            and not self._drains(session, worker)
        ]
        known = {job.id: job for job in waiting}
        if strange := [job for job in got if job not in known]:
            raise Broken(f"claim took {strange}, which it may not: {self._told(session, strange)}")
        taken = [known[job] for job in got]
        self._check_claim(waiting, taken, queues, limits)
        self.note_strays()
        expires = None
        if lease or not worker:
            expires = self.clock + (lease or LEASE)
        for job in taken:
            self._put(
                session,
                replace(
                    job,
                    place="lease",
                    attempt=job.attempt + 1,
                    token=token,
                    worker=worker,
                    executor=executor,
                    expires=expires,
                    overdue=None,
                    seq=0,
                ),
            )

    def _check_claim(
        self,
        waiting: Sequence[Job],
        taken: Sequence[Job],
        queues: Sequence[str],
        limits: Sequence[int],
    ) -> None:
        """Limits are kept, suspects come alone, nothing that waits is passed over."""
        if any(_precedes(b, a, queues) for a, b in itertools.combinations(taken, 2)):
            raise Broken(f"claim returned jobs out of order: {taken}")
        left = [job for job in waiting if job not in taken and (job.id, job.seq) not in self.strays]
        if any(job.suspect for job in taken) or any(job.suspect for job in left):
            if len(taken) != 1 or not taken[0].suspect:
                raise Broken(f"a suspect waits or was taken, not alone: {taken}")
            sooner = [job.id for job in left if job.suspect and _precedes(job, taken[0], queues)]
            if sooner:
                raise Broken(f"suspects {sooner} waited for longer than {taken[0].id}")
            return
        for queue, limit in zip(queues, limits, strict=True):
            mine = [job for job in taken if job.queue == queue]
            if len(mine) > limit:
                raise Broken(f"claim took {len(mine)} of {queue}, its limit was {limit}")
            passed = [
                job.id
                for job in left
                if job.queue == queue
                and (len(mine) < limit or any(_precedes(job, each, queues) for each in mine))
            ]
            if passed:
                raise Broken(f"claim passed over {passed} of {queue}")

    def holding(self, session: int, token: UUID) -> list[Job]:
        """Leases that a session sees under a token."""
        return [job for job in self.jobs(session, "lease") if job.token == token]

    # Who holds a token

    def complete(
        self, session: int, pairs: Sequence[Pair], *, too_large: bool = False
    ) -> dict[int, str]:
        """The outcome of each that this did not complete."""
        if not too_large:
            self._wait_for(session, pairs)
        outcomes: dict[int, str] = {}
        for pair in pairs:
            lease, job = self.leased(session, pair), self.job(session, pair[0])
            if lease and not too_large:
                self._finish(session, lease, "succeeded")
            elif lease:
                outcomes[pair[0]] = "result too large"
            elif job and job.token == pair[1] and job.why == "succeeded":
                outcomes[pair[0]] = "repeated"
            else:
                outcomes[pair[0]] = "lost"
        return outcomes

    def fail(
        self,
        session: int,
        pairs: Sequence[Pair],
        *,
        permanent: bool,
        retry_in: timedelta | None,
        reason: str,
    ) -> dict[int, str]:
        """The state of each."""
        self._wait_for(session, pairs)
        return {pair[0]: self._fail(session, pair, permanent, retry_in, reason) for pair in pairs}

    def _fail(
        self, session: int, pair: Pair, permanent: bool, retry_in: timedelta | None, reason: str
    ) -> str:
        job = self.leased(session, pair)
        if not job:
            known = self.job(session, pair[0])
            failed = known and any(
                token == pair[1] and why in ("error", "timeout")
                for _, why, _, token in known.attempts
            )
            return known.state if known and failed else "lost"
        job = _noted(job, reason, charged=True)
        if self._is_unwanted(session, pair):
            return self._cancel(session, job, note=False)
        most = job.max_attempts or self.queue(session, job.queue).max_attempts or MAX_ATTEMPTS
        if permanent or job.attempt >= most:
            return self._bury(session, job, reason)
        wait = min(BACKOFF_MAX, BACKOFF * 2 ** (job.attempt - 1))
        low, high = (timedelta(), wait) if retry_in is None else (retry_in, retry_in)
        return self._delay(session, replace(job, unknown="no"), "retry", low, high)

    def snooze(self, session: int, pair: Pair, delay: timedelta) -> bool:
        """Whether it was put off; else it was cancelled."""
        self._wait_for(session, [pair])
        job = self._held(session, pair)
        if self._is_unwanted(session, pair):
            self._cancel(session, job)
            return False
        self._delay(
            session, replace(job, attempt=job.attempt - 1, unknown="no"), "snooze", delay, delay
        )
        return True

    def release(self, session: int, pairs: Sequence[Pair], begun: Sequence[bool]) -> set[int]:
        """Those that are lost."""
        self._wait_for(session, pairs)
        lost = set()
        for pair, has_begun in zip(pairs, begun, strict=True):
            if job := self.leased(session, pair):
                self._put_back(session, job, "released" if has_begun else None)
            else:
                lost.add(pair[0])
        return lost

    def release_executor(
        self, session: int, worker: int, executor: int, begun: Sequence[int]
    ) -> dict[int, str]:
        """The state of each that was given back."""
        jobs = self.of_executor(session, worker, executor)
        if len(self.free(session, jobs)) < len(jobs):
            raise Refused(BLOCKED)
        return {
            job.id: self._put_back(session, job, "crashed" if job.id in begun else None)
            for job in jobs
        }

    def of_executor(self, session: int, worker: int, executor: int) -> list[Job]:
        """The leases that a session sees of an executor."""
        return [
            job
            for job in self.jobs(session, "lease")
            if (job.worker, job.executor) == (worker, executor)
        ]

    def decline(self, session: int, pairs: Sequence[Pair]) -> dict[int, str]:
        """The state of each."""
        self._wait_for(session, pairs)
        states: dict[int, str] = {}
        for pair in pairs:
            job = self.leased(session, pair)
            if not job:
                states[pair[0]] = "lost"
            elif self._is_unwanted(session, pair):
                states[job.id] = self._cancel(session, job)
            elif job.unknown == "old":
                job = _noted(job, "unknown task", charged=False)
                states[job.id] = self._bury(
                    session, replace(job, attempt=job.attempt - 1), "unknown task"
                )
            else:
                states[job.id] = self._delay(
                    session,
                    replace(job, attempt=job.attempt - 1, unknown="new"),
                    "unknown_task",
                    timedelta(seconds=1),
                    timedelta(minutes=1),
                )
        return states

    def start(self, session: int, pairs: Sequence[Pair], ran: timedelta) -> set[int]:
        """Those that are lost."""
        self._wait_for(session, pairs, "no key update")
        lost = set()
        for pair in pairs:
            if job := self.leased(session, pair):
                overdue = self.clock + TIMEOUT + 2 * LEASE - ran
                self.rows.put(session, job.row, replace(job, overdue=overdue), "no key update")
            else:
                lost.add(pair[0])
        return lost

    def extend(self, session: int, pair: Pair, lease: timedelta) -> datetime:
        """Until when the lease lasts now."""
        job = self._held(session, pair)
        if job.expires is None:
            raise Refused(ILLEGAL)
        if job.expires <= self.clock:
            raise Refused(LOST)
        self._wait_for(session, [pair], "no key update")
        expires = self.clock + lease
        self.rows.put(session, job.row, replace(job, expires=expires), "no key update")
        return expires

    def log(self, session: int, pair: Pair) -> int:
        """The number of the line."""
        if self.rows.is_busy(session, ("log", pair[0])):
            raise Refused(BLOCKED)
        job = self._held(session, pair)
        self.rows.hold(session, ("log", pair[0]))
        line: int = self.rows.get(session, ("lines", job.id)) or 0
        self.rows.put(session, ("lines", job.id), line + 1)
        return line + 1

    # Operators

    def cancel(self, session: int, number: int) -> str:
        """`cancelled`, or `requested`."""
        job = self.job(session, number)
        if job is None:
            raise Refused(NO_JOB)
        if job.state == "cancelled":
            return "cancelled"
        if not job.is_unfinished:
            raise Refused(ILLEGAL)
        if job.place == "lease" and self.rows.is_revised(session, job.row):
            raise Refused(BLOCKED)
        mode: Literal["key share", "update"] = "key share" if job.place == "lease" else "update"
        if self.rows.is_busy(session, job.row, mode):
            raise Refused(BUSY)
        return self._stop(session, job)

    def cancel_held(self, session: int, pair: Pair) -> None:
        """The holder ends it as cancelled."""
        self._wait_for(session, [pair])
        if job := self.leased(session, pair):
            self._cancel(session, job)
            return
        known = self.job(session, pair[0])
        if not (known and known.state == "cancelled" and known.token == pair[1]):
            raise Refused(LOST)

    def retry(self, session: int, number: int) -> None:
        """A dead or cancelled job waits again."""
        job = self.job(session, number)
        if job is None:
            raise Refused(NO_JOB)
        if job.state not in ("dead", "cancelled"):
            raise Refused(ILLEGAL)
        if job.key is not None:
            key = ("key", job.queue, job.key)
            if self.rows.is_busy(session, key):
                raise Refused(BUSY)
            if self.rows.get(session, key):
                raise Refused(ILLEGAL)
        if self.rows.is_busy(session, job.row):
            raise Refused(BUSY)
        self._revive(session, job)

    def redrive(self, session: int, queue: str, limit: int) -> int:
        """How many dead letters wait again."""
        letters = [
            job
            for job in self._letters(session, queue)
            if job.key is None or not self.rows.get(session, ("key", job.queue, job.key))
        ][:limit]
        count = 0
        for job in letters:
            self.rows.hold(session, job.row)
            if job.key is not None:
                key = ("key", job.queue, job.key)
                if self.rows.is_busy(session, key) or self.rows.get(session, key):
                    continue
            self._revive(session, job)
            count += 1
        return count

    def purge(self, session: int, queue: str, limit: int) -> int:
        """How many dead letters are gone."""
        letters = self._letters(session, queue)[:limit]
        for job in letters:
            self.rows.put(session, job.row, None)
        return len(letters)

    def edit(
        self, session: int, number: int, priority: int | None, run_at: datetime | None
    ) -> None:
        """Another priority, another time."""
        job = self.job(session, number)
        if job is None:
            raise Refused(NO_JOB)
        if job.place not in ("delayed", "ready", "dead"):
            raise Refused(ILLEGAL)
        if self.rows.is_busy(session, job.row):
            raise Refused(BUSY)
        moved = priority not in (None, job.priority)
        job = replace(
            job,
            priority=job.priority if priority is None else priority,
            run_at=run_at or job.run_at,
            seq=0 if moved and job.place == "ready" else job.seq,
        )
        if job.place == "delayed" and run_at:
            is_due = run_at <= now()
            job = _ready(job) if is_due else replace(job, at=run_at)
        elif job.place == "ready" and run_at and run_at > now():
            job = replace(job, place="delayed", why="scheduled", at=run_at)
        self._put(session, job)

    def run_now(self, session: int, number: int) -> None:
        """A delayed job is ready."""
        job = self.job(session, number)
        if job is None:
            raise Refused(NO_JOB)
        if job.place != "delayed":
            raise Refused(ILLEGAL)
        if self.rows.is_busy(session, job.row):
            raise Refused(BUSY)
        self._hasten(session, job)

    def duplicate(
        self,
        session: int,
        number: int,
        queue: str | None,
        priority: int | None,
        run_at: datetime | None,
    ) -> Item:
        """What the new job is asked to be."""
        job = self.job(session, number)
        if job is None:
            raise Refused(NO_JOB)
        return Item(
            queue or job.queue,
            priority or job.priority,
            None,
            job.max_attempts,
            run_at,
            job.reserved,
        )

    def drain(self, session: int, number: int, *, on: bool) -> bool:
        """Whether it changed."""
        if not self.worker(session, number):
            raise Refused(NO_RECORD)
        row = ("drain", number)
        drains = self._drains(session, number)
        if (on or drains) and self.rows.is_busy(session, row):
            raise Refused(BLOCKED)
        if drains != on:
            self.rows.put(session, row, number if on else None)
        return drains != on

    def start_operation(self, session: int, operation: Operation) -> None:
        """An operation was entered."""
        self.rows.put(session, ("operation", operation.id), operation)

    def stop_operation(self, session: int, number: int) -> bool:
        """Whether it changed."""
        operation: Operation | None = self.rows.get(session, ("operation", number))
        if operation is None:
            raise Refused(NO_RECORD)
        is_running = operation.state == "running"
        if is_running:
            operation = replace(operation, state="stopped")
        self.rows.put(session, ("operation", number), operation)
        return is_running

    def operation(self, session: int) -> Operation | None:
        """The one that runs, as a session sees it."""
        found: Iterable[Operation] = self.rows.all(session, "operation")
        return next((each for each in found if each.state == "running"), None)

    def pause(self, session: int, name: str) -> bool:
        """Whether it changed."""
        self._wait_for_queue(session, name)
        queue = self.queue(session, name)
        self.rows.put(session, ("queue", name), replace(queue, is_paused=True))
        return not queue.is_paused

    def resume(self, session: int, name: str) -> bool:
        """Whether it changed."""
        queue = self.queue(session, name)
        if not queue.is_paused:
            return False
        self._wait_for_queue(session, name)
        self.rows.put(session, ("queue", name), replace(queue, is_paused=False))
        return True

    def configure_queue(self, session: int, name: str, max_attempts: int) -> None:
        """A queue has a limit of its own."""
        self._wait_for_queue(session, name)
        queue = self.queue(session, name)
        self.rows.put(session, ("queue", name), replace(queue, max_attempts=max_attempts))

    # Upkeep: told what became of the jobs that changed

    def promoted(
        self, session: int, moved: Sequence[int], *, limit: int, before: datetime, swept: bool
    ) -> None:
        """These jobs became ready."""
        jobs = [self._of(session, job, "delayed", "promote") for job in moved]
        if len(jobs) > limit:
            raise Broken(f"promote moved {len(jobs)}, its limit was {limit}")
        if early := [job.id for job in jobs if _due(job) > now()]:
            raise Broken(f"promote moved {early} too soon")
        late = [
            job
            for job in self.free(session, self.jobs(session, "delayed"))
            if job.id not in moved and _due(job) <= before
        ]
        if not swept:
            late = [job for job in late if _due(job) > before - CURSOR]
        if len(jobs) == limit:
            last = max(map(_due, jobs), default=before)
            late = [job for job in late if _due(job) < last]
        if late:
            raise Broken(f"promote left {[job.id for job in late]}, which were due")
        for job in jobs:
            self._put(session, _ready(job))

    def operated(
        self,
        session: int,
        changed: Sequence[int],
        *,
        limit: int,
        done: int,
        state: str,
        walked: bool,
    ) -> None:
        """The operation that runs moved these jobs or asked for their end. It says how many it has
        done, and what became of it; `walked` if it had all jobs before it."""
        operation = self.operation(session)
        assert operation is not None
        if self.rows.is_busy(session, ("operation", operation.id)):
            if changed:
                raise Broken(f"operate moved {changed}, for an operation that somebody holds")
            return
        fitting = [job for job in self.jobs(session) if self._fits(operation, job)]
        asked = [
            job for job in fitting if job.token and self._is_unwanted(session, (job.id, job.token))
        ]
        if strange := set(changed) - {job.id for job in fitting}:
            raise Broken(f"operate moved {strange}: {self._told(session, strange)}")
        count = done - operation.done
        if not len(changed) <= count <= len(changed) + len(asked):
            raise Broken(f"operate did {count}, but moved {changed}")
        if count > limit or done > operation.most or state not in ("running", "done"):
            raise Broken(f"{operation} did {done}, is {state}; the limit was {limit}")
        for job in fitting:
            if job.id in changed:
                self._operate(session, operation.verb, job)
        left = [
            job.id
            for job in self.jobs(session)
            if job in fitting
            and job.id not in changed
            and job not in asked
            and not self.rows.is_busy(session, job.row, "key share")
            and not (operation.verb == "retry" and self._key_is_taken(session, job))
        ]
        if walked and done < operation.most and left:
            raise Broken(f"operate passed over {left}")
        operation = replace(operation, done=done, state=state)
        self.rows.put(session, ("operation", operation.id), operation)

    def _fits(self, operation: Operation, job: Job) -> bool:
        return (
            job.id <= operation.up_to
            and job.queue == operation.queue
            and job.state in STATES[operation.verb]
        )

    def _operate(self, session: int, verb: Verb, job: Job) -> None:
        mode: Literal["key share", "update"] = "key share" if job.place == "lease" else "update"
        if self.rows.is_busy(session, job.row, mode):
            raise Broken(f"operate moved job {job.id}, which somebody holds")
        if verb == "purge":
            self.rows.put(session, job.row, None)
        elif verb == "run_now":
            self._hasten(session, job)
        elif verb == "cancel":
            self._stop(session, job)
        elif self._key_is_taken(session, job):
            raise Broken(f"operate revived job {job.id}, whose key is taken")
        else:
            self._revive(session, job)

    def expire_workers(self, session: int, clock: datetime) -> None:
        """The lease clock shows this in a round of `reap`: who has expired is offline."""
        self.clock = clock
        for worker in list(self.rows.all(session, "worker")):
            row = ("worker", worker.id)
            if worker.expires <= clock and not self.rows.is_busy(session, row):
                self.rows.put(session, row, replace(worker, is_offline=True))

    def reaped(self, session: int, ended: Sequence[int], *, limit: int, gap: bool) -> None:
        """The leases of these jobs ended."""
        own = [
            job
            for job in self.jobs(session, "lease")
            if job.expires is not None and job.expires <= self.clock
        ]
        left = [job.id for job in self.free(session, own) if job.id not in ended]
        if left and len(own) <= limit:
            raise Broken(f"reap left leases that ran out: {left}")
        if len(ended) > 2 * limit:
            raise Broken(f"reap ended {len(ended)}, its limit was {limit}")
        for number in ended:
            self._reap(session, self._of(session, number, "lease", "reap"), gap)

    def _reap(self, session: int, job: Job, gap: bool) -> None:
        assert job.token is not None
        worker: Worker | None = self.rows.get(session, ("worker", job.worker))
        alive = job.expires is not None or (worker is not None and not worker.is_offline)
        ran_out = job.expires is not None and job.expires <= self.clock
        if alive and not ran_out and job.overdue and job.overdue <= self.clock:
            self._fail(session, (job.id, job.token), False, None, "timeout")
        elif ran_out or not alive:
            self._put_back(session, job, "lost", charge=not gap)
        else:
            raise Broken(f"reap ended the lease of job {job.id} without cause: {job}")

    def pruned(self, session: int, gone: Sequence[int], old: set[int], *, limit: int) -> None:
        """These jobs were deleted."""
        if strange := [job for job in gone if job not in old]:
            raise Broken(f"prune deleted {strange}: {self._told(session, strange)}")
        if len(gone) > 2 * limit:
            raise Broken(f"prune deleted {len(gone)}, its limit was {limit}")
        for number in gone:
            job = self.job(session, number)
            self.pruned_successes += job is not None and job.state == "succeeded"
            self.rows.put(session, ("job", number), None)

    # Moves

    def _put(self, session: int, job: Job) -> None:
        self.rows.put(session, job.row, job)

    def _of(self, session: int, number: int, place: Place, verb: str) -> Job:
        job = self.job(session, number)
        if job is None or job.place != place or self.rows.is_busy(session, job.row):
            raise Broken(f"{verb} moved job {number}: {job}")
        return job

    def _held(self, session: int, pair: Pair) -> Job:
        if not (job := self.leased(session, pair)):
            raise Refused(LOST)
        return job

    def _wait_for(
        self,
        session: int,
        pairs: Iterable[Pair],
        mode: Literal["update", "no key update"] = "update",
    ) -> None:
        for pair in pairs:
            job = self.leased(session, pair)
            if job and self.rows.is_busy(session, job.row, mode):
                raise Refused(BLOCKED)

    def _wait_for_queue(self, session: int, name: str) -> None:
        if self.rows.is_busy(session, ("queue", name)):
            raise Refused(BLOCKED)

    def _is_unwanted(self, session: int, pair: Pair) -> bool:
        return self.rows.get(session, ("request", *pair)) is not None

    def _letters(self, session: int, queue: str) -> list[Job]:
        letters = [
            job for job in self.free(session, self.jobs(session, "dead")) if job.queue == queue
        ]
        return sorted(letters, key=lambda job: (_due(job), job.id))

    def _free_key(self, session: int, job: Job) -> None:
        key = ("key", job.queue, job.key)
        if job.key is not None and self.rows.get(session, key) == job.id:
            self.rows.put(session, key, None)

    def _finish(self, session: int, job: Job, outcome: str) -> None:
        self._free_key(session, job)
        self._put(session, replace(job, place="finished", why=outcome, at=None))

    def _stop(self, session: int, job: Job) -> str:
        if job.place == "lease":
            self.rows.hold(session, job.row, "key share")
            self.rows.put(session, ("request", job.id, job.token), (job.id, job.token))
            return "requested"
        self._finish(session, replace(job, token=None), "cancelled")
        return "cancelled"

    def _hasten(self, session: int, job: Job) -> None:
        at = self.now(session)
        if job.run_at and job.run_at > at:
            job = replace(job, run_at=at)
        self._put(session, _ready(job))

    def _drains(self, session: int, worker: int) -> bool:
        return self.rows.get(session, ("drain", worker)) is not None

    def _key_is_taken(self, session: int, job: Job) -> bool:
        key = ("key", job.queue, job.key)
        return job.key is not None and (
            self.rows.is_busy(session, key) or self.rows.get(session, key) is not None
        )

    def _cancel(self, session: int, job: Job, *, note: bool = True) -> str:
        if note:
            job = _noted(job, "cancelled", charged=False)
        self.rows.put(session, ("request", job.id, job.token), None)
        self._finish(session, job, "cancelled")
        return "cancelled"

    def _bury(self, session: int, job: Job, reason: str) -> str:
        self._free_key(session, job)
        self._put(session, replace(job, place="dead", why=reason, at=None))
        return "dead"

    def _delay(self, session: int, job: Job, why: str, low: timedelta, high: timedelta) -> str:
        window = Window(now() + low, now() + high + TOLERANCE)
        job = replace(job, place="delayed", why=why, at=window)
        self._put(session, job)
        return job.state

    def _put_back(
        self, session: int, job: Job, reason: str | None = None, *, charge: bool = True
    ) -> str:
        assert job.token is not None
        if self._is_unwanted(session, (job.id, job.token)):
            return self._cancel(session, job)
        is_blamed = reason in ("lost", "crashed")
        charged = is_blamed and job.suspect and charge
        if reason:
            job = _noted(job, reason, charged=charged)
        job = replace(job, attempt=job.attempt - 1, crashes=job.crashes + charged)
        if charged and job.crashes >= MAX_CRASHES:
            return self._bury(session, job, "crashed")
        job = _ready(replace(job, suspect=job.suspect or is_blamed))
        self._put(session, job)
        return "suspect" if is_blamed else "ready"

    def _revive(self, session: int, job: Job) -> None:
        if job.key is not None:
            self.rows.put(session, ("key", job.queue, job.key), job.id)
        later = job.run_at is not None and job.run_at > self.now(session)
        self._put(
            session,
            replace(
                job,
                place="delayed" if later else "ready",
                why="scheduled" if later else "",
                at=job.run_at if later else None,
                attempt=0,
                crashes=0,
                suspect=job.place == "dead" and job.why == "crashed",
                unknown="no",
                seq=0,
            ),
        )

    def _told(self, session: int, jobs: Iterable[int]) -> str:
        return "; ".join(str(self.job(session, job)) for job in jobs)


def _precedes(job: Job, other: Job, queues: Sequence[str]) -> bool:
    """Whether a claim of these queues has to take it first; of two lanes of one priority either
    may come first."""
    lane, others = [(queues.index(each.queue), each.priority) for each in (job, other)]
    return lane < others or (
        lane == others and job.reserved == other.reserved and job.seq < other.seq
    )


def _ready(job: Job) -> Job:
    return replace(job, place="ready", why="", at=None, seq=0)


def _noted(job: Job, reason: str, *, charged: bool) -> Job:
    assert job.token is not None
    return replace(job, attempts=(*job.attempts, (job.attempt, reason, charged, job.token)))


def _due(job: Job) -> datetime:
    assert isinstance(job.at, datetime), job
    return job.at
