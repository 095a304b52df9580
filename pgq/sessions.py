"""The app's own sessions with the database: opened when needed, kept for the next statement."""

from __future__ import annotations

import asyncio
import os
import select
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Any, Generic, TypeVar

import anyio
import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow

from pgq import connections, database, errors
from pgq.connections import Rows, Statement
from pgq.session import Session

SIZE = 10
"""Most sessions that are open at a time, of each kind; further callers wait."""

SLACK = 5.0
"""Seconds beyond the timeout of statements after which an answer is waited for no longer: a pooler
passes no timeout on, and while its server is away it keeps statements for minutes."""

S = TypeVar("S", psycopg.Connection[TupleRow], Session)
L = TypeVar("L")

PREPARE_AFTER = 1
"""Uses of a statement in a sync session after which it is prepared."""

_CHANGED = ("42883", "XX000", "0A000")
"""Function does not exist, cache lookup failed, a prepared statement would return something else:
what a migration beside us looks like."""


class Sessions:
    """Sessions in autocommit with one database.

    They belong to the process, and the asynchronous ones to the event loop, that opened them; after
    a fork or in another loop there are new ones. Statements are prepared, unless there is a pooler
    between us and the server.
    """

    def __init__(
        self,
        dsn: Callable[[], str],
        *,
        size: int = SIZE,
        patience: float | None = None,
        adapt: Callable[[psycopg.AsyncConnection[TupleRow]], None] | None = None,
        **options: Any,
    ) -> None:
        """`options` are those of `database.parameters`; `adapt` is for new asynchronous sessions.

        Who waited `patience` seconds for one of `size` asynchronous sessions gets `Unavailable`;
        so does who waited for an answer much longer than statements may take.
        """
        self._dsn = dsn
        self._size = size
        self._patience = patience
        self._adapt = adapt
        self._options = {"application_name": "pgq client", **options}
        self._deadline = options.get("statement_timeout", database.STATEMENT_TIMEOUT) + SLACK
        self._sync: _Idle[psycopg.Connection[TupleRow], threading.Semaphore] | None = None
        self._async: _Idle[Session, anyio.Semaphore] | None = None

    async def fetch(self, statement: Statement) -> Rows:
        """Run a statement in its own transaction. Raises `Unavailable`.

        When cancelled or cut off, the statement may have been done all the same.
        """
        try:
            return await self._fetch(statement)
        except (psycopg.Error, errors.PgqError) as error:
            if not is_changed(error):
                raise
        await self.close()
        return await self._fetch(statement)

    def fetch_sync(self, statement: Statement) -> Rows:
        """`fetch`, without an event loop."""
        try:
            return self._fetch_sync(statement)
        except (psycopg.Error, errors.PgqError) as error:
            if not is_changed(error):
                raise
        self.close_sync()
        return self._fetch_sync(statement)

    async def close(self) -> None:
        """Close the sessions of both kinds; the next statement opens new ones."""
        self.close_sync()
        sessions = self._idle()
        while session := sessions.take():
            await session.close()

    def close_sync(self) -> None:
        """Close the sessions that sync verbs opened."""
        sessions = self._idle_sync()
        while session := sessions.take():
            session.close()

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        """A session for more than a statement; errors within become those of `pgq.errors`."""
        sessions = self._idle()
        session = await self._taken(sessions)
        try:
            with self._in_time(session):
                yield session
        finally:
            await _give_back(sessions, session)

    async def _taken(self, sessions: _Idle[Session, anyio.Semaphore]) -> Session:
        await self._wait_for(sessions.limit)
        try:
            return sessions.take_alive() or await self._open()
        except BaseException:
            sessions.limit.release()
            raise

    async def _wait_for(self, limit: anyio.Semaphore) -> None:
        try:
            limit.acquire_nowait()
        except anyio.WouldBlock:
            pass
        else:
            return
        try:
            with anyio.fail_after(self._patience):
                await limit.acquire()
        except TimeoutError:
            raise errors.Unavailable(
                f"all {self._size} sessions with the database are busy; try again"
            ) from None

    async def _fetch(self, statement: Statement) -> Rows:
        sessions = self._idle()
        session = await self._taken(sessions)
        try:
            with self._in_time(session):
                return await session.fetch(statement)
        finally:
            await _give_back(sessions, session)

    def _in_time(self, session: Session) -> AbstractContextManager[None]:
        return database.answered(session.connection, self._deadline, self._dsn())

    def _fetch_sync(self, statement: Statement) -> Rows:
        sessions = self._idle_sync()
        with sessions.limit:
            session = sessions.take_alive() or self._open_sync()
            try:
                with database.translated(self._dsn()):
                    return connections.fetch_sync(session, statement)
            finally:
                if not sessions.give(session):
                    session.close()

    async def _open(self) -> Session:
        connection = await database.connect_async(self._dsn(), **self._options)
        try:
            if self._adapt:
                self._adapt(connection)
            session = Session(connection)
            with self._in_time(session):
                await session.look_for_pooler()
        except BaseException:
            connection.pgconn.finish()
            raise
        return session

    def _open_sync(self) -> psycopg.Connection[TupleRow]:
        session = database.connect(self._dsn(), **self._options)
        try:
            with database.translated(self._dsn()):
                if not database.is_pooled(session):
                    session.prepare_threshold = PREPARE_AFTER
        except BaseException:
            session.pgconn.finish()
            raise
        return session

    def _idle(self) -> _Idle[Session, anyio.Semaphore]:
        owner = (os.getpid(), asyncio.get_running_loop())
        if self._async is None or self._async.owner != owner:
            limit = anyio.Semaphore(self._size, fast_acquire=True)
            self._async = _Idle(owner=owner, limit=limit)
        return self._async

    def _idle_sync(self) -> _Idle[psycopg.Connection[TupleRow], threading.Semaphore]:
        if self._sync is None or self._sync.owner != os.getpid():
            self._sync = _Idle(owner=os.getpid(), limit=threading.Semaphore(SIZE))
        return self._sync


class _Idle(Generic[S, L]):
    """Sessions that nobody uses, the one that was used last on top."""

    def __init__(self, *, owner: Any, limit: L) -> None:
        self.owner = owner
        self.limit = limit
        self._stack: list[S] = []

    def take(self) -> S | None:
        """A session, or None when there is none."""
        try:
            return self._stack.pop()
        except IndexError:
            return None

    def take_alive(self) -> S | None:
        """A session that the server has not ended meanwhile.

        One that it has ended has something to read. Costs no round trip, and spares the callers an
        error for each session after a restart or a failover.
        """
        while session := self.take():
            poll = select.poll()
            poll.register(session.pgconn.socket, select.POLLIN)
            if not poll.poll(0):
                return session
            session.pgconn.finish()
        return None

    def give(self, session: S) -> bool:
        """Keep a session for the next caller, unless it is in the midst of something or broken."""
        if session.pgconn.transaction_status != TransactionStatus.IDLE:
            return False
        self._stack.append(session)
        return True


async def _give_back(sessions: _Idle[Session, anyio.Semaphore], session: Session) -> None:
    try:
        if not sessions.give(session):
            with anyio.CancelScope(shield=True):
                await session.close()
    finally:
        sessions.limit.release()


def is_changed(error: BaseException) -> bool:
    """Whether a migration beside us explains it, so that trying once more is right."""
    cause = error if isinstance(error, psycopg.Error) else error.__cause__
    return isinstance(cause, psycopg.Error) and cause.sqlstate in _CHANGED
