"""PgQueuer."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import asyncpg
import uvloop
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver
from pgqueuer.models import Job
from pgqueuer.queries import Queries

from peers.drivers.driver import Order, Payload, main, start_together
from peers.tally import Tally

BATCH = 500


class Client:
    """One asyncpg connection."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._queries = Queries(AsyncpgDriver(connection))

    async def one(self, payload: Payload) -> None:
        """One `enqueue`."""
        await self._queries.enqueue("noop", json.dumps(payload).encode())

    async def many(self, payloads: list[Payload]) -> None:
        """One `enqueue` of lists."""
        count = len(payloads)
        encoded: list[bytes | None] = [json.dumps(payload).encode() for payload in payloads]
        await self._queries.enqueue(["noop"] * count, encoded, [0] * count)


class Driver:
    """asyncpg, uvloop, batches of 500, its own autovacuum settings."""

    async def setup(self, order: Order) -> None:
        """What `pgq install` and `pgq autovac` do."""
        connection = await asyncpg.connect(order["dsn"])
        queries = Queries(AsyncpgDriver(connection))
        await queries.install()
        await queries.optimize_autovacuum()
        await connection.close()

    @asynccontextmanager
    async def clients(self, dsn: str, count: int) -> AsyncIterator[list[Client]]:
        """A connection each."""
        async with AsyncExitStack() as stack:
            connections = [await asyncpg.connect(dsn) for _ in range(count)]
            for connection in connections:
                stack.push_async_callback(connection.close)
            yield [Client(connection) for connection in connections]

    async def work(self, order: Order) -> None:
        """One queue manager on a connection of its own, as its documentation advises."""
        tally = Tally(order["folder"], order["jobs"])
        queuer = PgQueuer(AsyncpgDriver(await asyncpg.connect(order["dsn"])))

        @queuer.entrypoint("noop")  # type: ignore[untyped-decorator]
        async def noop(job: Job) -> None:
            payload = json.loads(job.payload or b"")
            tally.ran(payload["n"], payload.get("sent", 0.0))

        start_together()
        await queuer.run(batch_size=BATCH)


if __name__ == "__main__":
    main(Driver(), run=uvloop.run)
