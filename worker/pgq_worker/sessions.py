"""A session with the database that outlives the database's restarts."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Any, LiteralString

import psycopg
from psycopg.types.string import ByteaBinaryLoader

from pgq import database
from pgq.connections import Rows, Statement
from pgq.errors import SchemaMismatch, Unavailable
from pgq.session import Session as OpenSession
from pgq_worker import logs

log = logs.get("database")

_AGAIN = ("57014", "55P03", "40001", "40P01", "0A000")
"""Statement and lock timeouts, deadlocks, and a prepared plan whose function was replaced."""
_SHORTEST, _LONGEST = 0.1, 5.0
_BUFFER = 64 * 1024
"""Bytes that are read from the server at a time, at least."""


class Session:
    """One connection in autocommit, opened when first needed and again after it was lost.

    A call that takes longer than its timeout loses its socket rather than being cancelled, since
    cancelling waits for an answer that a dead network never gives. JSON comes as its bytes.
    """

    def __init__(self, dsn: str, *, name: str) -> None:
        self._dsn = dsn
        self._name = name
        self._session: OpenSession | None = None
        self._lock = asyncio.Lock()
        self._failing = False
        self.opened = 0
        """How many connections it has opened so far."""

    async def fetch(
        self,
        query: LiteralString,
        values: Sequence[Any] = (),
        *,
        timeout: float = 30.0,  # noqa: ASYNC109
    ) -> Rows:
        """Run a statement. Raises `Unavailable` when the database did not answer in time."""
        async with self._lock:
            try:
                return await self._once(query, values, timeout)
            except (
                SchemaMismatch,
                psycopg.errors.InternalError_,
                psycopg.errors.FeatureNotSupported,
            ) as error:
                # A migration replaced the function. A new session has no plan of the old.
                await self._drop()
                if not _is_replaced(error):
                    raise
            return await self._once(query, values, timeout)

    async def insist(
        self,
        query: LiteralString,
        values: Sequence[Any] = (),
        *,
        timeout: float = 30.0,  # noqa: ASYNC109
    ) -> Rows:
        """`fetch`, over and over while the database is away: for what may be repeated."""
        delay = _SHORTEST
        while True:
            try:
                rows = await self.fetch(query, values, timeout=timeout)
            except Unavailable as error:
                self._note(error)
            except psycopg.Error as error:
                if error.sqlstate not in _AGAIN:
                    raise
                self._note(error)
            else:
                self._recovered()
                return rows
            await asyncio.sleep(delay * random.uniform(0.5, 1.0))  # noqa: S311
            delay = min(2 * delay, _LONGEST)

    def sever(self) -> None:
        """Shut the socket: what waits for an answer on it fails at once."""
        if self._session is not None:
            database.shut(self._session.connection)

    async def close(self) -> None:
        await self._drop()

    async def _once(self, query: LiteralString, values: Sequence[Any], seconds: float) -> Rows:
        is_new = self._session is None
        session = self._session or await self._open(seconds)
        try:
            with database.answered(session.connection, seconds, self._dsn):
                if is_new:
                    await session.look_for_pooler()
                    # libpq reads what its buffer holds, which grows to the largest row so far.
                    await session.fetch(Statement("select repeat(' ', ?)", [_BUFFER]))
                return await session.fetch(Statement(query, values))
        finally:
            if session.connection.closed:
                self._session = None

    async def _open(self, seconds: float) -> OpenSession:
        try:
            async with asyncio.timeout(max(seconds, 2.0)):
                connection = await database.connect_async(self._dsn, application_name=self._name)
        except TimeoutError:
            raise Unavailable("the database does not answer") from None
        self.opened += 1
        connection.adapters.register_loader("json", ByteaBinaryLoader)
        self._session = OpenSession(connection, binary=True)
        return self._session

    async def _drop(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _note(self, error: Exception) -> None:
        if not self._failing:
            log.warning("%s: %s; trying again", self._name, error)
        self._failing = True

    def _recovered(self) -> None:
        if self._failing:
            log.info("%s: the database answers again", self._name)
        self._failing = False


def _is_replaced(error: Exception) -> bool:
    text = str(error)
    return (
        isinstance(error, psycopg.errors.FeatureNotSupported)
        or "does not exist" in text
        or "cache lookup failed" in text
    )
