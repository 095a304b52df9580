"""PgBouncer in transaction mode, before the servers of the tests, when PGQ_TEST_POOLED is set."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from faults.pooler import Pooler

WANTED = "PGQ_TEST_POOLED" in os.environ


class Poolers:
    """One PgBouncer for each server; all end with the context."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._poolers: dict[tuple[str, str], Pooler] = {}

    def through(self, dsn: str) -> str:
        """The same database through a PgBouncer."""
        facts = conninfo_to_dict(dsn)
        server = (str(facts.get("host")), str(facts.get("port")))
        if server not in self._poolers:
            self._poolers[server] = self._stack.enter_context(Pooler(dsn))
        port = conninfo_to_dict(self._poolers[server].dsn)["port"]
        return make_conninfo(dsn, host="127.0.0.1", port=port)


_poolers: list[Poolers] = []


@contextmanager
def poolers() -> Iterator[None]:
    """While the context is open `through` leads through PgBouncer, if that is wanted."""
    if not WANTED:
        yield
        return
    with ExitStack() as stack:
        _poolers.append(Poolers(stack))
        try:
            yield
        finally:
            _poolers.pop()


def through(dsn: str) -> str:
    """What a worker, a server or a client of the queue is given for its connection string."""
    return _poolers[-1].through(dsn) if _poolers else dsn


def pretend(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on the server seems to have another process for us than it has, as a pooler's."""
    pid = psycopg.ConnectionInfo.backend_pid.fget  # type: ignore[attr-defined]
    monkeypatch.setattr(psycopg.ConnectionInfo, "backend_pid", property(lambda info: pid(info) + 1))


def session_through(
    session: psycopg.Connection[tuple[object, ...]],
) -> psycopg.Connection[tuple[object, ...]]:
    """Another session with the same database, through PgBouncer; it belongs to the caller."""
    direct = make_conninfo(session.info.dsn, password=session.info.password or None)
    return psycopg.connect(through(direct), autocommit=True, prepare_threshold=None)
