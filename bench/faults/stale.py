"""What somebody writes who has lost a job and does not know it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from uuid import UUID, uuid4

import psycopg

from pgq_bench.server import Session, value

REFUSED = ("PQ001", "PQ008")
"""SQLSTATEs: the lease is no longer that token's; the worker has expired."""

WRITES: Mapping[str, str] = {
    "complete": "select pgq.complete(%(job)s, %(token)s) is null",
    "fail": "select f.state is null from pgq.fail(%(job)s, %(token)s, 'Stale') f",
    "log": "select pgq.log(%(job)s, %(token)s, 'stale') is null",
    "snooze": "select pgq.snooze(%(job)s, %(token)s, interval '0') is null",
    "complete_many": "select count(*) = 1 from pgq.complete_many("
    "array[%(job)s], array[%(token)s]) c where c.outcome = 'lost'",
    "fail_many": "select f.state = 'lost' from pgq.fail_many(array[%(job)s], array[%(token)s]) f",
    "log_many": "select count(*) = 1 from pgq.log_many("
    "array[%(job)s], array[%(token)s], array['stale'])",
    "start": "select count(*) = 1 from pgq.start(array[%(job)s], array[%(token)s], array[1.0])",
    "release": "select count(*) = 1 from pgq.release(array[%(job)s], array[%(token)s])",
}
"""Each raises, or tells whether it was refused."""
COUNTED: Mapping[str, str] = {"complete_many": "complete", "fail_many": "fail", "log_many": "log"}
"""Those that the database counts when it refuses them, and as what."""


class Zombie:
    """Somebody who claims jobs of a queue as a worker and is not heard of any more."""

    def __init__(self, session: Session, *, queue: str, jobs: int, suspects: bool = False) -> None:
        self._token = uuid4()
        self.worker = int(
            value(
                session,
                "select worker from pgq.register_worker('zombie', array[%s], %s, p_token => %s)",
                [queue, jobs, self._token],
            )
        )
        token = uuid4()
        rows = session.execute(
            "select id from pgq.claim(%s, 0, %s, array[%s], array[%s], p_suspects => %s)",
            [self.worker, token, queue, jobs, suspects],
        )
        self.held: dict[int, UUID] = dict.fromkeys((row[0] for row in rows), token)
        self.accepted: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()

    def complete(self, session: Session) -> int:
        """Complete each of these jobs; how many it still held."""
        refused = value(
            session,
            "select count(*) from pgq.complete_many(%s, %s)",
            [list(self.held), list(self.held.values())],
        )
        return len(self.held) - int(refused)

    def write(self, session: Session) -> None:
        """Once more everything about each job that it believes to hold."""
        for job, token in self.held.items():
            for kind, query in WRITES.items():
                self._note(session, kind, query, {"job": job, "token": token})

    def beat(self, session: Session) -> None:
        """A heartbeat."""
        self._note(
            session,
            "heartbeat",
            "select lost is null from pgq.heartbeat("
            "%(worker)s, %(ids)s, %(tokens)s, p_token => %(token)s)",
            {
                "token": self._token,
                "worker": self.worker,
                "ids": list(self.held),
                "tokens": list(self.held.values()),
            },
        )

    def _note(self, session: Session, kind: str, query: str, values: Mapping[str, object]) -> None:
        try:
            refused = bool(value(session, query.encode(), values))
        except psycopg.Error as error:
            if error.sqlstate not in REFUSED:
                raise
            refused = True
        (self.refused if refused else self.accepted)[kind] += 1
