"""The server that is measured: a durable one of our own, or one that the user names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

from pgq import database, schema, scratch

DAYS = 40
"""Day partitions ahead: a fresh installation's few hide what they cost."""
SETTINGS = {"shared_buffers": "512MB", "max_wal_size": "8GB", "checkpoint_timeout": "30min"}
"""Of a server of our own; everything else, `fsync` too, as Postgres ships it."""

Session = psycopg.Connection[TupleRow]


class Server:
    """Gives databases that hold an empty queue, and drops them afterwards.

    Without a `dsn` it is a throw-away cluster, started and removed with this object.
    """

    def __init__(self, dsn: str | None, *, bin_dir: Path | None = None) -> None:
        self._named = dsn
        self._bin_dir = bin_dir
        self._stack = ExitStack()
        self._prefix = f"pgq_bench_{os.getpid()}"
        self._numbers = count(1)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._dsn = stack.enter_context(
                scratch.server(self._named, bin_dir=self._bin_dir, settings=SETTINGS)
            )
            self._template = stack.enter_context(
                scratch.new_database(self._dsn, f"{self._prefix}_template")
            )
            schema.migrate(self._template)
            with opened(self._template) as session:
                session.execute("select pgq.partition(p_days => %s)", [DAYS])
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    @contextmanager
    def fresh(self) -> Iterator[str]:
        """The DSN of a database with an empty queue, dropped at the end."""
        name = f"{self._prefix}_{next(self._numbers)}"
        template = f"{self._prefix}_template"
        with scratch.new_database(self._dsn, name, template=template) as dsn:
            yield dsn

    def facts(self) -> dict[str, str]:
        """What a reader of the figures has to know about the server."""
        names = ("server_version", "fsync", "synchronous_commit", "shared_buffers", "max_wal_size")
        with opened(self._template) as session:
            return {
                name: str(database.fetch_one(session, "select current_setting(%s)", [name])[0])
                for name in names
            }


@contextmanager
def opened(dsn: str) -> Iterator[Session]:
    """A session whose statements may take as long as they do."""
    session = database.connect(
        dsn,
        application_name="pgq bench",
        statement_timeout=0,
        idle_in_transaction_timeout=0,
    )
    with session:
        yield session


def value(session: Session, query: Any, values: Any = None) -> Any:
    """The one value that a statement returns."""
    return database.fetch_one(session, query, values)[0]


def tidy(session: Session, *tables: str) -> None:
    """Vacuum and checkpoint, so that each measurement starts from the same state."""
    for table in tables:
        session.execute(sql.SQL("vacuum (analyze) {}").format(sql.SQL(table)))
    with suppress(psycopg.errors.InsufficientPrivilege):
        session.execute("checkpoint")
