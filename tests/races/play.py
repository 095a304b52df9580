"""A stage for races: sessions with one database, whose transactions a test moves step by step."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Any, Literal

from psycopg import sql

from pgq.postgres import Postgres
from sql.support import Conn, claim, column, connect, insert, settle

Isolation = Literal["read committed", "repeatable read", "serializable"]


@dataclass
class Play:
    """Sessions with a database that has the schema; `server` when they may restart it."""

    dsn: str
    server: Postgres | None = None
    sessions: list[Conn] = field(default_factory=list)
    prepared: list[str] = field(default_factory=list)

    def session(self) -> Conn:
        """A session in autocommit."""
        self.sessions.append(connect(self.dsn))
        return self.sessions[-1]

    def transaction(self, isolation: Isolation = "read committed") -> Conn:
        """A session whose statements are one transaction until it commits or rolls back."""
        self.sessions.append(connect(self.dsn, autocommit=False))
        session = self.sessions[-1]
        session.execute(f"set session characteristics as transaction isolation level {isolation}")
        session.commit()
        return session

    def open_insert(self, **columns: Any) -> tuple[Conn, int]:
        """A transaction that has inserted a job, and the job's id."""
        session = self.transaction()
        (job,) = insert(session, **columns)
        return session, job

    def open_settle(self) -> Conn:
        """A transaction that has moved the floors."""
        with connect(self.dsn) as conn:
            conn.execute("update pgq.floor set at = at - interval '1 minute'")
        session = self.transaction()
        for _ in range(2):
            session.execute("select pgq.settle()")
        return session

    def prepare(self, session: Conn) -> str:
        """Prepares the session's transaction; returns its name."""
        name = f"pgq-{uuid.uuid4()}"
        session.execute(sql.SQL("prepare transaction {}").format(name))
        session.rollback()
        self.prepared.append(name)
        return name

    def end_prepared(self, name: str, how: Literal["commit", "rollback"]) -> None:
        self.prepared.remove(name)
        with connect(self.dsn) as session:
            session.execute(sql.SQL(f"{how} prepared {{}}").format(name))

    def restart(self) -> None:
        """Stops the server as a crash would, and starts it again; open sessions are gone."""
        assert self.server is not None
        self.server.stop("immediate")
        self.server.start()
        self._close_sessions()

    def close(self) -> None:
        self._close_sessions()
        for name in [*self.prepared]:
            self.end_prepared(name, "rollback")

    def _close_sessions(self) -> None:
        for session in self.sessions:
            session.close()
        self.sessions.clear()


def enter_lane(conn: Conn) -> None:
    """Makes the default lane known without drawing a seq."""
    insert(conn, run_at="2100-01-01")


def claimed(conn: Conn, limit: int = 10) -> list[int]:
    """Ids of the jobs that a claim gets now."""
    return [lease["id"] for lease in claim(conn, limits=limit)]


def pass_marks_by(conn: Conn, age: str) -> None:
    """Makes what the marks note older."""
    conn.execute("update pgq.mark set noted_at = noted_at - %s::interval", [age])


def stray(conn: Conn) -> None:
    """Makes stragglers of those who hold the gate now, and moves the floors past them."""
    conn.execute("select pgq.settle()")
    pass_marks_by(conn, "3 seconds")
    conn.execute("select pgq.settle()")
    assert column(conn, "select 1 from pgq.straggler where stream = 'ready' and to_seq is null")
    settle(conn)


def seq_of(conn: Conn, job: int) -> int:
    (seq,) = column(conn, "select seq from pgq.ready where job_id = %s", [job])
    return int(seq)
