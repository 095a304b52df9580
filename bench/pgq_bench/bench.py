"""What every step is given: a server, pgbench, how much to do, and somebody to tell."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pgq.errors import PgqError
from pgq_bench.raw import PAYLOAD, Pgbench
from pgq_bench.server import Server, Session, opened, value
from pgq_worker.companion import Companion

QUEUE = "bench"
PATIENCE = 300.0
"""Seconds without the end of a measurement, after which something is wrong."""


@dataclass(frozen=True)
class Bench:
    """One run of the bench. `jobs` is the size that the larger measurements scale with."""

    server: Server
    pgbench: Pgbench
    jobs: int
    rounds: int
    say: Callable[[str], None]

    @property
    def seconds(self) -> float:
        """Length of a measurement that has no number of jobs, such as of pgbench's inserts."""
        return max(1.0, self.jobs / 25_000)

    @contextmanager
    def worker(self, dsn: str, *, processes: int = 1) -> Iterator[Companion]:
        """A real `pgq worker`, from when all its executors wait for jobs."""
        arguments = ["-a", "pgq_bench.tasks:app", "-q", QUEUE, "--processes", str(processes)]
        with Companion(arguments, database_url=dsn) as worker, opened(dsn) as session:
            wait(
                lambda: (
                    worker.ended() is None
                    and value(
                        session,
                        "select count(distinct (w.worker, w.executor)) from pgq.waiter w "
                        "where w.queue = %s and w.executor <> 0",
                        [QUEUE],
                    )
                    >= processes
                ),
                f"a worker with {processes} processes to come up",
                stop=lambda: worker.ended() is not None,
            )
            yield worker


def insert(session: Session, jobs: int) -> None:
    """Enter no-op jobs in one statement."""
    session.execute(
        "insert into pgq.job (task, payload, queue) "
        "select 'noop', %s::json, %s from generate_series(1, %s)",
        [PAYLOAD, QUEUE, jobs],
    )


def now(session: Session) -> object:
    """The database's clock, to tell what finished since."""
    return value(session, "select clock_timestamp()")


def wait_finished(session: Session, jobs: int) -> None:
    """Until so many jobs have succeeded in this database, by its counters."""
    wait(
        lambda: (
            value(
                session,
                "select coalesce(sum(s.n), 0) from pgq.stats() s "
                "where s.metric = 'transition' and s.label = 'running>succeeded'",
            )
            >= jobs
        ),
        f"{jobs} jobs to succeed",
    )


def rate(session: Session, since: object, jobs: int) -> float:
    """Jobs a second of the first `jobs` that finished since, from the start of the first."""
    seconds = value(
        session,
        "select extract(epoch from max(f.finished_at) - min(f.started_at)) from ("
        "select f.started_at, f.finished_at from pgq.finished f where f.finished_at >= %s "
        "order by f.finished_at limit %s) f having count(*) = %s",
        [since, jobs, jobs],
    )
    return jobs / float(seconds)


def wait(is_done: Callable[[], bool], what: str, *, stop: Callable[[], bool] | None = None) -> None:
    """Look every 20 ms; raise when it takes far too long or can no longer come."""
    deadline = time.monotonic() + PATIENCE
    while not is_done():
        if stop and stop():
            raise PgqError(f"waited for {what}, but the worker ended: run `pgq worker` to see why")
        if time.monotonic() > deadline:
            raise PgqError(f"waited {PATIENCE:g} s for {what}")
        time.sleep(0.02)
