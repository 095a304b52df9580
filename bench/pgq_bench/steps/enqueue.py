"""Jobs entered one by one, in batches and by COPY, beside single inserts into a bare table."""

from __future__ import annotations

import time
from collections.abc import Iterator

from pgq_bench.bench import Bench
from pgq_bench.figures import Figure, Round, compared
from pgq_bench.raw import INSERT, PAYLOAD, make_bare
from pgq_bench.server import Session, opened

BATCH = 1000
ONE = f"insert into pgq.job (task, payload) values ('noop', '{PAYLOAD}');"


def run(bench: Bench) -> Iterator[Figure]:
    """One by one from 1 and 16 clients; in batches and by COPY from one."""
    with bench.server.fresh() as dsn, opened(dsn) as session:
        make_bare(dsn)
        single: list[float] = []
        for clients in (1, 16):
            bench.say(f"enqueue: one by one, {clients} clients")
            rounds = []
            for _ in range(bench.rounds):
                raw, queued = (
                    bench.pgbench.rate(dsn, script, clients=clients, seconds=bench.seconds / 2)
                    for script in (INSERT, ONE)
                )
                rounds.append(Round(queued, raw))
            single = [r.raw for r in rounds]
            yield compared(
                rounds,
                step="enqueue",
                name=f"one by one, {_clients(clients)}",
                unit="jobs/s",
                raw_name=f"single inserts, {_clients(clients)}",
            )
        for name, enter in (
            (f"batches of {BATCH:,}, 1 client", _batches),
            ("COPY, 1 client", _copy),
        ):
            bench.say(f"enqueue: {name}")
            rounds = []
            for raw in single:
                begun = time.perf_counter()
                enter(session, bench.jobs)
                rounds.append(Round(bench.jobs / (time.perf_counter() - begun), raw))
            yield compared(
                rounds,
                step="enqueue",
                name=name,
                unit="jobs/s",
                raw_name="single inserts, 16 clients",
            )


def _batches(session: Session, jobs: int) -> None:
    payloads = [PAYLOAD] * BATCH
    for _ in range(jobs // BATCH):
        session.execute(
            "insert into pgq.job (task, payload) select 'noop', p::json from unnest(%s::text[]) p",
            [payloads],
        )


def _copy(session: Session, jobs: int) -> None:
    with session.cursor().copy("copy pgq.job (task, payload) from stdin") as copy:
        for _ in range(jobs // BATCH):
            copy.write(f"noop\t{PAYLOAD}\n" * BATCH)


def _clients(n: int) -> str:
    return "1 client" if n == 1 else f"{n} clients"
