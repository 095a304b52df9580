"""An asynchronous session of our own, with the shortest way to the server that psycopg has."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import anyio
import psycopg
from psycopg import generators
from psycopg.adapt import PyFormat, Transformer
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus, Format
from psycopg.pq.abc import PGconn, PGresult
from psycopg.rows import TupleRow

from pgq import connections
from pgq.connections import Rows, Statement

CANCEL_TIMEOUT = 5.0
"""Seconds that the server is given to hear that a statement is no longer wanted."""
LOOK = 0.2
"""Seconds after which an answer is looked for though nobody said that it is there: of a socket with
an error, uvloop says nothing at all."""
STATEMENTS = 100
"""Most statements that are prepared in a session."""

_PID = Statement("select pg_backend_pid()")


class Session:
    """A session in autocommit, for one statement at a time.

    Statements are sent without a cursor, whose work takes longer than the server's, and prepared
    when they are first used; unless there is a `pooler` between us and the server, which may give
    each transaction another session.
    """

    def __init__(
        self,
        connection: psycopg.AsyncConnection[TupleRow],
        *,
        pooler: bool = True,
        binary: bool = False,
    ) -> None:
        """`binary` is how rows come. Whether there is a pooler can be looked for later."""
        self.pgconn: PGconn = connection.pgconn
        self.connection = connection
        """For transactions and pipelines. It prepares nothing itself: after a rollback psycopg
        deallocates all that is prepared, ours too."""
        self._room = 0 if pooler else STATEMENTS
        self._format = Format(binary)
        self._transformer = Transformer(connection)
        self._names: dict[tuple[str, tuple[int, ...]], bytes] = {}

    async def look_for_pooler(self) -> None:
        """Prepare statements from now on if there is none; see `database.is_pooled`."""
        [(pid,)] = await self.fetch(_PID)
        if pid == self.connection.info.backend_pid:
            self._room = STATEMENTS

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
        if name is None and len(self._names) < self._room:
            name = await self._prepare(statement.sql, types)
        if name is None:
            query = connections.render(statement.sql, "$").encode()
            self.pgconn.send_query_params(query, values, types, formats, self._format)
        else:
            self.pgconn.send_query_prepared(name, values, formats, self._format)
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
        answer = _Answer(self.pgconn)
        try:
            return await answer.complete
        except asyncio.CancelledError:
            answer.stop()
            with anyio.CancelScope(shield=True), suppress(psycopg.Error):
                await self.connection.cancel_safe(timeout=CANCEL_TIMEOUT)
            raise


class _Answer:
    """Collects results as they come."""

    def __init__(self, pgconn: PGconn) -> None:
        self._pgconn = pgconn
        self._results: list[PGresult] = []
        self._loop = asyncio.get_running_loop()
        self._socket = pgconn.socket
        self.complete: asyncio.Future[list[PGresult]] = self._loop.create_future()
        self._loop.add_reader(self._socket, self._read)
        self._timer = self._loop.call_later(LOOK, self._look)

    def stop(self) -> None:
        """Read no more."""
        self._loop.remove_reader(self._socket)
        self._timer.cancel()

    def _look(self) -> None:
        self._timer = self._loop.call_later(LOOK, self._look)
        self._read()

    def _read(self) -> None:
        try:
            self._pgconn.consume_input()
            while not self._pgconn.is_busy():
                result = self._pgconn.get_result()
                if result is None:
                    self._end()
                    return
                self._results.append(result)
        except psycopg.Error as error:
            self._end(error)

    def _end(self, error: psycopg.Error | None = None) -> None:
        # At once: libpq has closed a socket that failed, and the next to be opened has its number.
        self.stop()
        if self.complete.done():
            return
        if self._results or error is None:
            self.complete.set_result(self._results)
        else:
            self.complete.set_exception(error)
