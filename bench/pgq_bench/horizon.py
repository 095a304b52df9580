"""Transactions that stay open, so that vacuum removes nothing that ended after they began."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pgq_bench.server import Session, opened

CLAIMS = 10_000
"""Claims that find no job after which the claimer gives up."""


@contextmanager
def held(dsn: str, kind: str, queue: str) -> Iterator[None]:
    """An idle transaction of one of `KINDS`, rolled back at the end.

    A writer needs a table `elsewhere`, and a claimer a job of the queue, ready now or very soon.
    """
    with opened(dsn) as session:
        session.execute("begin")
        KINDS[kind](session, queue)
        yield
        session.execute("rollback")


def _read(session: Session, queue: str) -> None:
    session.execute("set transaction isolation level repeatable read")
    session.execute("select count(*) from pg_class")


def _write(session: Session, queue: str) -> None:
    session.execute("insert into elsewhere values (1)")


def _enqueue(session: Session, queue: str) -> None:
    session.execute("insert into pgq.job (task, queue) values ('never', %s)", [queue])


def _claim(session: Session, queue: str) -> None:
    for _ in range(CLAIMS):
        claimed = session.execute(
            "select c.id from pgq.claim(p_worker => 0, p_executor => 0, p_token => %s, "
            "p_queues => %s, p_limits => '{1}', p_lease => interval '1 h') c",
            [uuid.uuid4(), [queue]],
        ).fetchall()
        if claimed:
            return
    raise ValueError("there was no job to claim")


KINDS: dict[str, Callable[[Session, str], None]] = {
    "reader": _read,
    "writer": _write,
    "enqueuer": _enqueue,
    "claimer": _claim,
}
"""What it did before it fell idle."""
