"""Jobs entered over HTTP, beside the same through the client library; and listeners to events."""

from __future__ import annotations

import asyncio
import json
import resource
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence

import anyio

from pgq import App
from pgq_bench.bench import Bench
from pgq_bench.figures import Figure, Round, compared
from pgq_bench.http import Address, Client, posted, serving
from pgq_bench.raw import PAYLOAD
from pgq_bench.server import Session, opened, value

CLIENTS = 16
BATCH = 100
LISTENERS = 1000
VALUES = json.loads(PAYLOAD)

Enter = Callable[[], Awaitable[object]]


def run(bench: Bench) -> Iterator[Figure]:
    """Single submits by one client and many, batches, and what listeners cost."""
    yield _listening(bench)
    with bench.server.fresh() as dsn, serving(dsn) as address:
        for name, clients, batch, least in (
            ("single, 1 client", 1, 1, 0.5),
            (f"single, {CLIENTS} clients", CLIENTS, 1, None),
            (f"batches of {BATCH}, 1 client", 1, BATCH, 0.5),
        ):
            rounds = []
            for n in range(bench.rounds):
                bench.say(f"service: {name}, round {n + 1} of {bench.rounds}")
                raw = anyio.run(_through_sql, dsn, clients, batch, bench.seconds)
                ours = anyio.run(_over_http, address, clients, batch, bench.seconds)
                rounds.append(Round(ours, raw))
            yield compared(
                rounds,
                step="service",
                name=f"HTTP submit, {name}",
                unit="jobs/s",
                raw_name="by the same number of callers of App.enqueue",
                least_ratio=least,
            )


def _listening(bench: Bench) -> Figure:
    """Of a queue at rest, so that it is the listeners who are counted."""
    with bench.server.fresh() as dsn, opened(dsn) as session, serving(dsn) as address:
        bench.say(f"service: {LISTENERS} listeners")
        one, many = (
            anyio.run(_statements, address, session, listeners, bench.seconds)
            for listeners in (1, LISTENERS)
        )
    return Figure(
        step="service",
        name=f"{LISTENERS:,} open event streams",
        value=many,
        unit="statements/s",
        raw=one,
        raw_name="with one",
        ratio=many / one,
        most_ratio=1.1,
    )


async def _through_sql(dsn: str, clients: int, batch: int, seconds: float) -> float:
    """Jobs a second."""
    app = App(dsn)

    @app.task
    def noop(to: str, subject: str) -> None: ...

    async def one() -> object:
        return await noop.enqueue(**VALUES)

    async def many() -> object:
        return await noop.enqueue_many([VALUES] * batch)

    async with app:
        return batch * await _rate([one if batch == 1 else many] * clients, seconds)


async def _over_http(address: Address, clients: int, batch: int, seconds: float) -> float:
    """Jobs a second."""
    job = {"task": "noop", "payload": VALUES}
    if batch == 1:
        request = posted("/api/v1/jobs", json.dumps(job).encode())
    else:
        request = posted("/api/v1/jobs/batch", json.dumps({"jobs": [job] * batch}).encode())
    opened = [await Client.opened(address) for _ in range(clients)]

    def enter(client: Client) -> Enter:
        return lambda: client.post(request)

    try:
        return batch * await _rate([enter(client) for client in opened], seconds)
    finally:
        for client in opened:
            client.close()


async def _rate(enters: Sequence[Enter], seconds: float) -> float:
    """Calls a second, after the first of each."""
    for enter in enters:
        await enter()
    begun = time.perf_counter()
    done = await asyncio.gather(*(_repeated(enter, begun + seconds) for enter in enters))
    return sum(done) / (time.perf_counter() - begun)


async def _repeated(enter: Enter, until: float) -> int:
    done = 0
    while time.perf_counter() < until:
        await enter()
        done += 1
    return done


async def _statements(address: Address, session: Session, listeners: int, least: float) -> float:
    """Of the whole database, each second, while so many listen."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    clients = []
    for _ in range(listeners):
        clients.append(await Client.opened(address))
        await clients[-1].listen("/api/v1/events")
    seconds = max(10.0, least)
    await asyncio.sleep(2)
    before, begun = _counted(session), time.perf_counter()
    await asyncio.sleep(seconds)
    took, after = time.perf_counter() - begun, _counted(session)
    for client in clients:
        client.close()
    await asyncio.sleep(1.5)
    return (after - before) / took


def _counted(session: Session) -> int:
    """Transactions; each statement of the server's is one."""
    counted = value(
        session,
        "select xact_commit from pg_stat_database where datname = current_database()",
    )
    return int(counted)
