"""What the server does without a queue, measured in the same run."""

from __future__ import annotations

import time

from peers.cluster import Cluster
from peers.works import Run
from pgq_bench.raw import INSERT, Pgbench, delete_rate, make_bare
from pgq_bench.server import opened, value

USUAL_DELETES = 150_000
"""Rows a second where the systems' paces were seen."""
ROWS = 900_000
LEAST_SECONDS = 5.0
"""Of the deletes: a short burst flatters them."""


def raw(run: Run, cluster: Cluster, pgbench: Pgbench) -> dict[str, float]:
    """Inserts by pgbench, deletes of a hundred rows by four clients, and COPY, in rows a second."""
    seconds = run.sizes.seconds
    figures: dict[str, float] = {}
    with cluster.empty() as dsn:
        make_bare(dsn)
        for clients in (1, 16):
            run.say(f"raw: inserts, {clients} clients")
            rate = pgbench.rate(dsn, INSERT, clients=clients, seconds=seconds)
            figures[f"insert_{clients}"] = rate
        run.say("raw: deletes")
        figures["delete_100"] = _deletes(pgbench, dsn)
        run.say("raw: COPY")
        figures["copy"] = copy_rate(
            dsn, "copy bare (task, payload) from stdin", round(100_000 * seconds), bare=True
        )
    return figures


def copy_rate(dsn: str, statement: str, rows: int, *, bare: bool = False) -> float:
    """Rows a second that one COPY enters, whose text stands ready."""
    lines = [_line(n, bare) for n in range(rows)]
    blocks = ["".join(lines[n : n + 1000]) for n in range(0, rows, 1000)]
    with opened(dsn) as session:
        begun = time.monotonic()
        with session.cursor().copy(statement.encode()) as copy:
            for block in blocks:
                copy.write(block)
        return rows / (time.monotonic() - begun)


def _line(n: int, bare: bool) -> str:
    payload = f'{{"n": {n}, "text": "{"x" * 177}"}}'
    return f"noop\t{payload}\n" if bare else f"noop\tbench\t{payload}\n"


def _deletes(pgbench: Pgbench, dsn: str) -> float:
    rows = ROWS
    while True:
        rate = delete_rate(pgbench, dsn, rows)
        with opened(dsn) as session:
            left = int(value(session, "select count(*) from bare"))
        if rows / rate >= LEAST_SECONDS:
            return rate * (rows - left) / rows
        rows = round(1.1 * LEAST_SECONDS * rate)
