"""An asynchronous session of our own, with the shortest way to the server that psycopg has."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import anyio
import psycopg
from psycopg import generators
from psycopg.adapt import PyFormat, Transformer
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGconn, PGresult
from psycopg.rows import TupleRow

from pgq import connections
from pgq.connections import Rows, Statement

CANCEL_TIMEOUT = 5.0
"""Seconds that the server is given to hear that a statement is no longer wanted."""
STATEMENTS = 100
"""Most statements that are prepared in a session; others go through a cursor."""


class Session:
    """A session in autocommit, for one statement at a time.

    Statements are prepared when they are first used and sent without a cursor, whose work takes
    longer than the server's; unless there is a `pooler` between us and the server, which may give
    each transaction another session.
    """

    def __init__(self, connection: psycopg.AsyncConnection[TupleRow], *, pooler: bool) -> None:
        self.pgconn: PGconn = connection.pgconn
        self.connection = connection
        """For transactions and pipelines. It prepares nothing itself: after a rollback psycopg
        deallocates all that is prepared, ours too."""
        self._room = 0 if pooler else STATEMENTS
        self._transformer = Transformer(connection)
        self._names: dict[tuple[str, tuple[int, ...]], bytes] = {}

    async def fetch(self, statement: Statement) -> Rows:
        """Run a statement in its own transaction.

        One that is cancelled is cancelled in the server too, which leaves the session in the midst
        of it.
        """
        values = self._transformer.dump_sequence(
            statement.values, [PyFormat.AUTO] * len(statement.values)
        )
        types, formats = self._transformer.types or (), self._transformer.formats
        name = self._names.get((statement.sql, types))
        if name is None:
            if len(self._names) >= self._room:
                return await connections.fetch(self.connection, statement)
            name = await self._prepare(statement.sql, types)
        self.pgconn.send_query_prepared(name, values, formats)
        return self._rows(await self._results())

    async def close(self) -> None:
        """End it, whatever it is doing."""
        await self.connection.close()

    async def _prepare(self, sql: str, types: tuple[int, ...]) -> bytes:
        name = b"pgq_%d" % len(self._names)
        self.pgconn.send_prepare(name, connections.render(sql, "$").encode(), types)
        self._rows(await self._results())
        self._names[sql, types] = name
        return name

    def _rows(self, results: list[PGresult]) -> Rows:
        result = results[-1]
        if result.status == ExecStatus.FATAL_ERROR:
            raise error_from_result(result, encoding=self.connection.info.encoding)
        self._transformer.set_pgresult(result)
        return self._transformer.load_rows(0, result.ntuples, tuple)

    async def _results(self) -> list[PGresult]:
        """What the server answers to what was sent."""
        if self.pgconn.flush():
            return await self.connection.wait(generators.execute(self.pgconn))
        loop = asyncio.get_running_loop()
        answer = _Answer(self.pgconn, loop.create_future())
        loop.add_reader(self.pgconn.socket, answer.read)
        try:
            return await answer.complete
        except asyncio.CancelledError:
            with anyio.CancelScope(shield=True), suppress(psycopg.Error):
                await self.connection.cancel_safe(timeout=CANCEL_TIMEOUT)
            raise
        finally:
            loop.remove_reader(self.pgconn.socket)


class _Answer:
    """Collects results as they come."""

    def __init__(self, pgconn: PGconn, complete: asyncio.Future[list[PGresult]]) -> None:
        self.complete = complete
        self._pgconn = pgconn
        self._results: list[PGresult] = []

    def read(self) -> None:
        """Take what has come."""
        if self.complete.done():
            return
        try:
            self._pgconn.consume_input()
            while not self._pgconn.is_busy():
                result = self._pgconn.get_result()
                if result is None:
                    self.complete.set_result(self._results)
                    return
                self._results.append(result)
        except psycopg.Error as error:
            if self._results:
                self.complete.set_result(self._results)
            else:
                self.complete.set_exception(error)
