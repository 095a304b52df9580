"""Procrastinate."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import procrastinate
import uvloop

from peers.drivers.driver import Order, Payload, main, start_together
from peers.tally import Tally

CONCURRENCY = 30


def _app(dsn: str, size: int) -> procrastinate.App:
    connector = procrastinate.PsycopgConnector(conninfo=dsn, min_size=size, max_size=size)
    return procrastinate.App(connector=connector)


class Client:
    """One of the pool's connections."""

    def __init__(self, task: Any) -> None:
        self._task = task

    async def one(self, payload: Payload) -> None:
        """One `defer_async`."""
        await self._task.defer_async(**payload)

    async def many(self, payloads: list[Payload]) -> None:
        """One `batch_defer_async`."""
        await self._task.batch_defer_async(*payloads)


class Driver:
    """psycopg, uvloop, concurrency 30, with a pool as large and one connection to listen."""

    async def setup(self, order: Order) -> None:
        """What `procrastinate schema --apply` does."""
        async with _app(order["dsn"], 1).open_async() as app:
            await app.schema_manager.apply_schema_async()

    @asynccontextmanager
    async def clients(self, dsn: str, count: int) -> AsyncIterator[list[Client]]:
        """As many connections, in one pool."""
        async with _app(dsn, count).open_async() as app:

            @app.task(name="noop")  # type: ignore[untyped-decorator]
            async def noop(n: int, text: str, sent: float = 0.0) -> None: ...

            yield [Client(noop)] * count

    async def work(self, order: Order) -> None:
        """One worker."""
        logging.getLogger("procrastinate").setLevel(logging.WARNING)
        tally = Tally(order["folder"], order["jobs"])
        async with _app(order["dsn"], CONCURRENCY + 1).open_async() as app:

            @app.task(name="noop")  # type: ignore[untyped-decorator]
            async def noop(n: int, text: str, sent: float = 0.0) -> None:
                tally.ran(n, sent)

            start_together()
            await app.run_worker_async(concurrency=CONCURRENCY, install_signal_handlers=False)


if __name__ == "__main__":
    main(Driver(), run=uvloop.run)
