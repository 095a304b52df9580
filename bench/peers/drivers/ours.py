"""Ours, as somebody who makes jobs: its workers are `pgq worker`, unchanged."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvloop

from peers.drivers.driver import Order, Payload, main
from peers.tasks import app, noop


class Client:
    """One of the app's connections."""

    async def one(self, payload: Payload) -> None:
        """One `enqueue`."""
        await noop.enqueue(**payload)

    async def many(self, payloads: list[Payload]) -> None:
        """One `enqueue_many`."""
        await noop.enqueue_many(payloads)


class Driver:
    """The client library, in uvloop."""

    async def setup(self, order: Order) -> None:
        """Nothing: the database is made from a template."""

    @asynccontextmanager
    async def clients(self, dsn: str, count: int) -> AsyncIterator[list[Client]]:
        """The app opens as many connections as are used at a time."""
        os.environ["DATABASE_URL"] = dsn
        async with app:
            yield [Client()] * count

    async def work(self, order: Order) -> None:
        """Not from here."""
        raise NotImplementedError


if __name__ == "__main__":
    main(Driver(), run=uvloop.run)
