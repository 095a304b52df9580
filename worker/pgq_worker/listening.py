"""Hears the database's wake-ups and cancellations."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from uuid import uuid4

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

from pgq import database
from pgq.errors import PgqError
from pgq_worker import logs

log = logs.get("listening")

PING = 5.0
"""Seconds after which a silent connection is asked whether it lives."""
PROOF = 60.0
"""Seconds after which it sends a message to itself: a pooler may have taken the session away."""
_LONGEST = 15.0


class Listener:
    """Listens on one connection, and opens another whenever that one dies or goes silent.

    Until then jobs are found by polling: nothing depends on it. `hear` is given each message, and
    an empty one when messages may have been missed before.
    """

    def __init__(self, dsn: str, *, name: str, hear: Callable[[str], None]) -> None:
        self._dsn = dsn
        self._name = name
        self._hear = hear
        self._failing = False
        self._connection: psycopg.AsyncConnection[TupleRow] | None = None
        self._channel = ""
        self._roused = asyncio.Event()
        self._proof: str | None = None
        self._proof_due = 0.0

    def follow(self, channel: str) -> None:
        """Listen on this channel from now on."""
        self._channel = channel
        self._roused.set()

    async def run(self) -> None:
        """Listen, for good."""
        await self._roused.wait()
        delay = 0.2
        while True:
            since = time.monotonic()
            try:
                await self._listen()
            except (PgqError, psycopg.Error, TimeoutError, OSError) as error:
                if not self._failing:
                    log.warning(
                        "no wake-ups until it listens again, jobs are found by polling: %s", error
                    )
                self._failing = True
            if time.monotonic() - since > 2 * PING:
                delay = 0.2
            await asyncio.sleep(delay * random.uniform(0.5, 1.0))  # noqa: S311
            delay = min(2 * delay, _LONGEST)

    def close(self) -> None:
        """Let go of the connection without a word."""
        if self._connection is not None:
            database.shut(self._connection)

    async def _listen(self) -> None:
        async with asyncio.timeout(15):
            self._connection = connection = await database.connect_async(
                self._dsn, application_name=self._name
            )
        connection.add_notify_handler(lambda note: self._receive(note.payload))
        channel = ""
        try:
            while True:
                self._roused.clear()
                now = time.monotonic()
                if channel != self._channel:
                    channel = self._channel
                    listen = sql.SQL("listen {}").format(sql.Identifier(channel))
                    await self._ask(connection, listen)
                    self._hear("")
                    self._proof, self._proof_due = None, now
                if now >= self._proof_due:
                    if self._proof is not None:
                        raise TimeoutError("what it sent to itself did not arrive")
                    self._proof, self._proof_due = f"p {uuid4()}", now + PING
                    await self._ask(connection, "select pg_notify(%s, %s)", (channel, self._proof))
                else:
                    await self._ask(connection, "select 1")
                with self._reading(connection):
                    try:
                        async with asyncio.timeout(PING):
                            await self._roused.wait()
                    except TimeoutError:
                        pass
        finally:
            self._connection = None
            await connection.close()

    @contextmanager
    def _reading(self, connection: psycopg.AsyncConnection[TupleRow]) -> Iterator[None]:
        """Take what comes while no statement runs, straight from the event loop."""
        loop, link, number = asyncio.get_running_loop(), connection.pgconn, connection.fileno()

        with ExitStack() as reading:

            def read() -> None:
                try:
                    link.consume_input()
                except psycopg.OperationalError:
                    # libpq has closed the socket, and the next to be opened has its number.
                    reading.close()
                    self._roused.set()  # the next statement fails
                    return
                while (note := link.notifies()) is not None:
                    self._receive(note.extra.decode(errors="replace"))

            loop.add_reader(number, read)
            reading.callback(loop.remove_reader, number)
            yield

    def _receive(self, message: str) -> None:
        if message == self._proof:
            self._proof, self._proof_due = None, time.monotonic() + PROOF
            if self._failing:
                log.info("listens again")
            self._failing = False
        elif not message.startswith("p "):
            self._hear(message)

    async def _ask(
        self,
        connection: psycopg.AsyncConnection[TupleRow],
        query: str | sql.Composed,
        values: tuple[str, ...] = (),
    ) -> None:
        """Run a statement, or lose the connection when it is not answered in time."""
        with database.answered(connection, PING, self._dsn):
            await connection.execute(
                query.encode() if isinstance(query, str) else query, values or None
            )
