"""Ours: `pgq worker` as it comes, on a queue that is paused until all are ready."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from peers.system import Go, System, wait
from peers.tally import Counts
from peers.tasks import QUEUE
from pgq_bench.server import Session, opened, value
from pgq_worker.companion import Companion

UNFINISHED = (
    "select (select count(*) from pgq.ready) + (select count(*) from pgq.delayed) "
    "+ (select count(*) from pgq.lease)"
)
KEPT = "select count(*) from pgq.job"
RING = """
select pg_notify(format('pgq_%%s_%%s', w.worker, w.executor), 'w')
from pgq.waiter w
where w.executor <> 0
"""


class Ours(System):
    """The client library makes jobs; `pgq worker` with defaults runs them."""

    @contextmanager
    def database(self) -> Iterator[str]:
        """A new database in which it is installed."""
        with self.databases() as dsn:
            yield dsn

    @contextmanager
    def working(
        self,
        dsn: str,
        processes: int,
        counts: Counts,
        *,
        queues: Sequence[str] = (QUEUE,),
    ) -> Iterator[Go]:
        """A worker, idle and with its queues paused until the word."""
        arguments = ["-a", "peers.tasks:app", "-q", ",".join(queues), "-p", str(processes)]
        environment = {"PEERS_FOLDER": str(counts.folder), "PEERS_JOBS": str(counts.jobs)}
        with opened(dsn) as session:
            for queue in queues:
                session.execute("select pgq.pause(p_queue => %s)", [queue])
            with Companion(
                arguments, database_url=dsn, environment=environment, log=self.log
            ) as worker:
                wait(
                    lambda: worker.ended() is not None or _idle(session) >= processes,
                    lambda: _idle(session),
                    "pgq worker comes up",
                )
                yield lambda: release(session, queues)


def release(session: Session, queues: Sequence[str] = (QUEUE,)) -> float:
    """Resume the queues and ring all idle executors, which would look within a second."""
    released = time.monotonic()
    for queue in queues:
        session.execute("select pgq.resume(p_queue => %s)", [queue])
    session.execute(RING, [])
    return released


def insert(
    session: Session,
    first: int,
    jobs: int,
    *,
    task: str = "noop",
    text: str = "x" * 170,
    chunk: int = 100_000,
) -> None:
    """Enter jobs by SQL, numbered from `first` on."""
    for begin in range(first, first + jobs, chunk):
        session.execute(
            "insert into pgq.job (task, payload, queue) "
            "select %s, json_build_object('n', i, 'text', %s::text), %s "
            "from generate_series(%s::bigint, %s::bigint) i",
            [task, text, QUEUE, begin, min(begin + chunk, first + jobs) - 1],
        )


def _idle(session: Session) -> int:
    return int(
        value(
            session,
            "select count(distinct (w.worker, w.executor)) from pgq.waiter w where w.executor <> 0",
        )
    )
