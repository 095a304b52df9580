"""Hears the database's wake-ups and cancellations."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from uuid import uuid4

import psycopg
from psycopg.rows import TupleRow

from pgq import database
from pgq.errors import PgqError
from pgq_worker import logs
from pgq_worker.sessions import shut

log = logs.get("listening")

CHANNEL = "pgq"
PING = 5.0
"""Seconds after which a silent connection is asked whether it lives."""
PROOF = 60.0
"""Seconds after which it sends a message to itself: a pooler may have taken the session away."""
_LONGEST = 15.0


class Listener:
    """Listens on one connection, and opens another whenever that one dies or goes silent.

    Until then jobs are found by polling: nothing depends on it.
    """

    def __init__(self, dsn: str, *, name: str, hear: Callable[[str], None]) -> None:
        self._dsn = dsn
        self._name = name
        self._hear = hear
        self._failing = False
        self._connection: psycopg.AsyncConnection[TupleRow] | None = None

    async def run(self) -> None:
        """Listen, for good."""
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
            shut(self._connection)

    async def _listen(self) -> None:
        async with asyncio.timeout(15):
            self._connection = connection = await database.connect_async(
                self._dsn, application_name=self._name
            )
        try:
            async with asyncio.timeout(PING):
                await connection.execute(f"listen {CHANNEL}")
            proof_due = 0.0
            proof: str | None = None
            while True:
                now = time.monotonic()
                if now >= proof_due:
                    if proof is not None:
                        raise TimeoutError("what it sent to itself did not arrive")
                    proof, proof_due = f"p {uuid4()}", now + PING
                    await self._ask(connection, "select pg_notify(%s, %s)", (CHANNEL, proof))
                else:
                    await self._ask(connection, "select 1", ())
                async for note in connection.notifies(timeout=PING):
                    if note.payload == proof:
                        proof, proof_due = None, time.monotonic() + PROOF
                        if self._failing:
                            log.info("listens again")
                        self._failing = False
                    elif not note.payload.startswith("p "):
                        self._hear(note.payload)
        finally:
            self._connection = None
            await connection.close()

    async def _ask(
        self, connection: psycopg.AsyncConnection[TupleRow], query: str, values: tuple[str, ...]
    ) -> None:
        """Run a statement, or lose the connection when it is not answered in time."""
        timer = asyncio.get_running_loop().call_later(PING, shut, connection)
        try:
            await connection.execute(query.encode(), values or None)
        finally:
            timer.cancel()
