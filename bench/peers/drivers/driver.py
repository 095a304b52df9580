"""What the Python drivers have in common: orders, payloads, and the start on a signal.

`python -m peers.drivers.NAME VERB ORDER`, where ORDER is a JSON object. A driver says `ready` when
it is connected and starts when a line comes in. Standard library only.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

Payload = dict[str, Any]
Order = dict[str, Any]


class Client(Protocol):
    """One connection of somebody who makes jobs."""

    async def one(self, payload: Payload) -> None:
        """Make a job, committed when this returns."""

    async def many(self, payloads: list[Payload]) -> None:
        """Make jobs by the API for many, committed when this returns."""


class Driver(Protocol):
    """A system, by its public API."""

    async def setup(self, order: Order) -> None:
        """Install it in the database."""

    def clients(self, dsn: str, count: int) -> AbstractAsyncContextManager[Sequence[Client]]:
        """So many connections to make jobs with."""

    async def work(self, order: Order) -> None:
        """Run jobs until the process is ended."""


def text(size: int) -> str:
    """Fills a payload up to `size` bytes: a run of x, or, when long, what hardly compresses."""
    length = max(1, size - 22)
    if size <= 1000:
        return "x" * length
    return random.Random(size).randbytes(length // 2 + 1).hex()[:length]


def start_together() -> None:
    """Tell the bench that all is ready, and wait for its word."""
    print("ready", flush=True)
    if not sys.stdin.readline():
        sys.exit(1)


async def enqueue(driver: Driver, order: Order) -> None:
    """Make `jobs` jobs from number `first` on, by `clients` at once, in batches or one by one."""
    clients, batch, filler = order["clients"], order["batch"], text(order["size"])
    share = order["jobs"] // clients
    async with driver.clients(order["dsn"], clients) as connected:

        async def client(k: int, one_client: Client) -> None:
            begin = order["first"] + k * share
            end = order["first"] + (order["jobs"] if k == clients - 1 else (k + 1) * share)
            if batch == 1:
                for n in range(begin, end):
                    await one_client.one({"n": n, "text": filler})
                return
            for chunk in range(begin, end, batch):
                numbers = range(chunk, min(end, chunk + batch))
                await one_client.many([{"n": n, "text": filler} for n in numbers])

        start_together()
        begun = time.monotonic()
        await asyncio.gather(*(client(k, c) for k, c in enumerate(connected)))
        print(json.dumps({"begun": begun, "ended": time.monotonic()}), flush=True)


async def send(driver: Driver, order: Order) -> None:
    """Make jobs one by one, evenly apart, each with the time at which it was made."""
    async with driver.clients(order["dsn"], 1) as connected:
        start_together()
        due = time.monotonic()
        for n in range(order["jobs"]):
            due += order["interval"]
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            await connected[0].one({"n": n, "text": "", "sent": time.monotonic()})
        print(json.dumps({}), flush=True)


async def offer(driver: Driver, order: Order) -> None:
    """Make jobs in batches at a steady pace, whether or not anybody keeps up with it."""
    async with driver.clients(order["dsn"], 1) as connected:
        start_together()
        due = time.monotonic()
        end = order["first"] + order["jobs"]
        for begin in range(order["first"], end, order["batch"]):
            due += order["interval"]
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            numbers = range(begin, min(end, begin + order["batch"]))
            await connected[0].many([{"n": n, "text": text(200)} for n in numbers])
        print(json.dumps({}), flush=True)


def main(driver: Driver, *, run: Callable[[Any], Any] = asyncio.run) -> None:
    """Carry out the order on the command line."""
    verb, order = sys.argv[1], json.loads(sys.argv[2])
    verbs: dict[str, Callable[[], Awaitable[None]]] = {
        "setup": lambda: driver.setup(order),
        "enqueue": lambda: enqueue(driver, order),
        "offer": lambda: offer(driver, order),
        "send": lambda: send(driver, order),
        "work": lambda: driver.work(order),
    }
    run(verbs[verb]())
