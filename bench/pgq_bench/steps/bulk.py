"""One INSERT of many jobs, beside the same rows in tables without a queue."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, LiteralString

from pgq_bench.bench import Bench
from pgq_bench.figures import Figure, Round, compared
from pgq_bench.raw import PAYLOAD
from pgq_bench.server import Session, opened

TABLES = """
create table bare (like pgq.job including defaults, primary key (id));
create table narrow (id bigint generated always as identity primary key, task text, payload json);
create table job_copy (like pgq.job including all);
create table ready_copy (like pgq.ready including all);
"""
ROWS: LiteralString = "(task, payload) select 'noop', %s::json from generate_series(1, %s)"
HAND_WRITTEN: LiteralString = f"""
with made as (insert into job_copy {ROWS} returning id, queue, priority)
insert into ready_copy (lane, job_id)
select hashtextextended(m.queue, m.priority * 2), m.id from made m
"""


def run(bench: Bench) -> Iterator[Figure]:
    """The public table against a bare one, and against copies of the tables that a job needs."""
    statements: dict[str, LiteralString] = {
        "pgq.job": f"insert into pgq.job {ROWS}",
        "bare": f"insert into bare {ROWS}",
        "narrow": f"insert into narrow {ROWS}",
        "hand": HAND_WRITTEN,
    }
    seconds: dict[str, list[float]] = {name: [] for name in statements}
    with bench.server.fresh() as dsn, opened(dsn) as session:
        session.execute(TABLES)
        for n in range(bench.rounds):
            bench.say(f"bulk: round {n + 1} of {bench.rounds}")
            for name, statement in statements.items():
                seconds[name].append(_timed(session, statement, [PAYLOAD, bench.jobs]))
    for name, shown, least in (
        ("bare", "the same columns and a primary key", 0.4),
        ("hand", "copies of job and ready, by hand", 0.8),
        ("narrow", "task, payload and a primary key only", None),
    ):
        yield compared(
            [
                Round(bench.jobs / ours, bench.jobs / theirs)
                for ours, theirs in zip(seconds["pgq.job"], seconds[name], strict=True)
            ],
            step="bulk",
            name=f"one INSERT of {bench.jobs:,}",
            unit="jobs/s",
            raw_name=f"into {shown}",
            least_ratio=least,
        )


def _timed(session: Session, statement: LiteralString, values: list[Any]) -> float:
    begun = time.perf_counter()
    session.execute(statement, values)
    return time.perf_counter() - begun
