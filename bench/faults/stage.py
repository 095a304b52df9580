"""Where a row plays: a server of its own, a queue, a ledger, workers, and a seed."""

from __future__ import annotations

import json
import math
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg

from faults import checker, mutants
from faults.background import beside
from faults.crew import Crew
from faults.ledger import CLOCK, ENVIRONMENT, ORIGIN, Ledger
from faults.load import Load
from faults.nemesis import Deed, Nemesis
from faults.row import Figure, Outcome
from faults.small_disk import SmallDisk
from pgq import schema
from pgq.errors import Unavailable
from pgq.postgres import Postgres
from pgq_bench.server import Session, opened, value

SHORT_LEASE, SHORT_HEARTBEAT, SHORT_POLL = 3.0, 0.25, 0.25
"""Seconds, in the short form; the full form has what every new queue has.

An outage moves the lease clock by up to half a lease, and two heartbeats may go by around it: what
is left of a lease is the time that a busy machine may lose.
"""
LEASE, HEARTBEAT, POLL = 15.0, 5.0, 1.0
SLACK = 1.0
"""Seconds beyond the poll interval that a pick-up may take."""
FORGOTTEN = 20
"""Poll intervals after which nobody can have polled."""
PAUSE = 0.1
"""Seconds between looks at what is left."""
STALLED = 10.0
"""Seconds without a job that ends after which a mutant is believed to let no more of them do."""
PATIENCE = 60.0
"""Seconds that what is left may take when the faults have ended."""


ENQUEUE = """
insert into pgq.job (task, queue, timeout, payload)
select %s, %s, make_interval(secs => %s), %s::json from generate_series(1, %s)
returning id
"""
WAITING = """
select count(distinct i.worker)
from pgq.waiter i
join pgq.list_workers() w on w.id = i.worker
where w.state <> 'offline'
    and w.id > %s
"""


class Stage:
    """What a row is given. All of it is gone when the row has ended, but for the figures."""

    def __init__(
        self,
        outcome: Outcome,
        server: Postgres,
        folder: Path,
        undo: ExitStack,
        disk: SmallDisk | None = None,
    ) -> None:
        self.outcome = outcome
        self.server = server
        self.folder = folder
        self._undo = undo
        self._disk = disk
        self._dsn: str | None = None
        self.chance = random.Random(outcome.seed)
        self.ledger = Ledger(folder / "ledger")
        self.crew = Crew(
            folder,
            {
                ENVIRONMENT: str(self.ledger.folder),
                CLOCK: str(ORIGIN),
                **mutants.environment(outcome.mutant),
            },
        )
        if outcome.is_full:
            self.lease, self.heartbeat, self.poll = LEASE, HEARTBEAT, POLL
        else:
            self.lease, self.heartbeat, self.poll = SHORT_LEASE, SHORT_HEARTBEAT, SHORT_POLL
        self.condemned: set[int] = set()
        """Jobs that may end as dead letters."""
        self.forgiven: set[int] = set()
        """Jobs that may be lost: they were beyond the database's own durability."""

    # What happens

    @property
    def dsn(self) -> str:
        """Of the database under test."""
        return self._dsn or self.server.dsn

    def install(self, dsn: str) -> None:
        """An empty queue, with this form's leases; broken if there is a mutant."""
        schema.migrate(dsn)
        with self.session(dsn) as session:
            session.execute(
                "select pgq.configure(p_lease => make_interval(secs => %s), "
                "p_heartbeat => make_interval(secs => %s), p_poll => make_interval(secs => %s))",
                [self.lease, self.heartbeat, self.poll],
            )
            mutants.install(session, self.outcome.mutant)

    def move_to(self, dsn: str) -> None:
        """Play on another database, with a queue of its own."""
        self.install(dsn)
        self._dsn = dsn

    @property
    def disk(self) -> SmallDisk:
        """On which the server lies. Only for rows that have one."""
        assert self._disk is not None
        return self._disk

    @property
    def seconds(self) -> float:
        """How long the load lasts."""
        return self.outcome.seconds

    @contextmanager
    def load(self, *, rate: float, dsn: str | None = None, **job: Any) -> Iterator[Load]:
        """Jobs at this rate while the context is open; see `Load`."""
        load = Load(dsn or self.dsn, self.ledger, rate=rate, **job)
        with beside(load.run):
            yield load

    @contextmanager
    def nemesis(self, deed: Deed, *, every: float) -> Iterator[Nemesis]:
        """A deed about every so many seconds while the context is open."""
        nemesis = Nemesis(deed, every=every, chance=random.Random(self.chance.random()))
        with beside(nemesis.run):
            yield nemesis

    def enqueue(
        self,
        count: int,
        task: str = "work",
        *,
        queue: str = "default",
        timeout: float | None = None,
        **payload: Any,
    ) -> list[int]:
        """So many jobs at once, acknowledged; their ids."""
        values = [task, queue, timeout, json.dumps(payload), count]
        with self.session() as session:
            rows = session.execute(ENQUEUE, values).fetchall()
        ids = [row[0] for row in rows]
        self.ledger.acknowledge(ids)
        return ids

    @contextmanager
    def session(self, dsn: str | None = None) -> Iterator[Session]:
        """A session of an onlooker, in autocommit."""
        with opened(dsn or self.dsn) as session:
            yield session

    def afterwards(self, act: Callable[[], object]) -> None:
        """Do this when all has been checked and the workers are gone."""
        self._undo.callback(act)

    def pass_time(self, seconds: float | None = None) -> None:
        """Let the load and the faults go on for so long, or for as long as the row lasts."""
        time.sleep(self.seconds if seconds is None else seconds)

    def wait_until(self, condition: Callable[[], Any], patience: float | None = None) -> bool:
        """Whether the condition came true in time; a database that is away counts as no."""
        deadline = time.monotonic() + (patience or PATIENCE)
        while time.monotonic() < deadline:
            asked_at = time.monotonic()
            try:
                if condition():
                    return True
            except (psycopg.OperationalError, Unavailable):
                pass
            # A look that takes long is not to be what the row waits for.
            time.sleep(max(0.05, time.monotonic() - asked_at))
        return False

    def finish(self, patience: float | None = None) -> None:
        """Wait until each acknowledged job has ended, for as long as some do within `patience`.

        What has not ended by then is counted as lost.
        """
        patience = STALLED if self.outcome.mutant else patience or PATIENCE
        left, before = math.inf, math.inf

        def some_ended() -> bool:
            nonlocal left
            left = self.unfinished()
            return left < before

        while left and self.wait_until(some_ended, patience):
            before = left
            self.pass_time(PAUSE)

    def lost(self, dsn: str | None = None) -> set[int]:
        """Acknowledged jobs of which the database, or this other one, knows nothing."""
        jobs = self.ledger.acknowledged()
        with self.session(dsn) as session:
            found = session.execute("select id from pgq.job where id = any (%s)", [list(jobs)])
            return set(jobs) - {row[0] for row in found}

    def unfinished(self) -> int:
        """How many acknowledged jobs have not ended, of those that may not be lost."""
        jobs = [job for job in self.ledger.acknowledged() if job not in self.forgiven]
        with self.session() as session:
            return checker.unfinished(session, jobs)

    def wait_for_workers(self, count: int = 1, *, after: int = 0) -> None:
        """Until so many workers wait for jobs that registered after that one.

        Raises `AssertionError` if they never do.
        """
        with self.session() as session:
            if not self.wait_until(lambda: value(session, WAITING, [after]) >= count):
                raise AssertionError("the workers do not come up")

    def begun(self, jobs: Iterable[int]) -> dict[int, float]:
        """When the first run of each of these jobs began, as far as one did."""
        runs = self.ledger.runs()
        return {job: runs[job][0].began for job in jobs if job in runs}

    def waits(self, jobs: Iterable[int] | None = None) -> list[float]:
        """How long each of these jobs, or of all, took from its acknowledgement to its start.

        Infinite when it never did.
        """
        acknowledged = self.ledger.acknowledged()
        jobs = list(acknowledged if jobs is None else jobs)
        begun = self.begun(jobs)
        return [max(0.0, begun.get(job, math.inf) - acknowledged[job]) for job in jobs]

    # What was seen

    def forgotten(self, waits: Iterable[float]) -> None:
        """Note that polling found what no wake-up told of."""
        long = sum(wait > FORGOTTEN * self.poll for wait in waits)
        self.figure(f"picked up after more than {FORGOTTEN} polls", long, most=0)

    def figure(
        self,
        name: str,
        value: float,
        *,
        least: float | None = None,
        most: float | None = None,
        unit: str = "",
        is_time: bool = False,
    ) -> None:
        """Note a figure, with what it has to be."""
        self.outcome.figures.append(Figure(name, float(value), least, most, unit, is_time))

    def evidence(self, lines: Iterable[str]) -> None:
        """Note what a reader needs in order to believe or to find out."""
        self.outcome.evidence.extend(lines)


@contextmanager
def stage(
    outcome: Outcome, *, settings: Mapping[str, str], bin_dir: Path | None
) -> Iterator[Stage]:
    """A durable server with an empty queue; at the end the checks that every row has."""
    with ExitStack() as undo:
        folder = Path(tempfile.mkdtemp(prefix="pgq-faults-"))
        folder.chmod(0o711)
        undo.callback(shutil.rmtree, folder, ignore_errors=True)
        disk, data_dir = None, folder
        if outcome.row.disk:
            disk = SmallDisk(folder / "disk", megabytes=outcome.row.disk)
            data_dir = disk.folder
            undo.callback(disk.close)
        server = Postgres(data_dir, bin_dir=bin_dir, settings=settings)
        undo.callback(server.close)
        server.start()
        play = Stage(outcome, server, folder, undo, disk)
        play.install(server.dsn)
        try:
            yield play
            if outcome.row.has_ledger:
                with play.session() as session:
                    checker.check(play, session)
        finally:
            play.crew.dismiss()
            if not outcome.figures or outcome.short_of():
                outcome.evidence.extend(play.crew.logs().splitlines()[-30:])
