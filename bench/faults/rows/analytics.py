"""R13: long queries overlap, so that there is an old snapshot at every moment."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from faults.background import Over, beside
from faults.probe import BEHIND, Probe, behind_dead_rows
from faults.row import Row
from faults.stage import Stage
from pgq_bench.figures import percentile

RATE = 800
QUERIES = 3
SHORT_QUERY, QUERY = 6.0, 120.0
"""Seconds that each query takes, over and over, a third of that apart."""
GROWTH = 4
P99 = 10.0


def _play(stage: Stage) -> None:
    stage.crew.hire(stage.dsn)
    stage.wait_for_workers()
    behind_dead_rows(stage)
    length = QUERY if stage.outcome.is_full else SHORT_QUERY
    probe = Probe(stage)
    asked: list[float] = []
    with stage.load(rate=RATE):
        probe.run(stage.seconds / 3)
        with beside(partial(_analyse, stage, length, asked)):
            stage.pass_time(length)
            probe.run(2 * stage.seconds / 3)
    left = stage.unfinished()
    stage.finish()
    stage.figure("queries", len(asked), least=QUERIES)
    stage.figure("claims probed", len(probe.pages), least=20)
    stage.figure(
        "pages a claim touches, last over first", probe.growth(), most=GROWTH, is_time=True
    )
    stage.figure(
        "p99 of a claim", percentile(probe.milliseconds, 0.99), most=P99, unit=" ms", is_time=True
    )
    stage.figure("backlog when the load ended", left, most=RATE, is_time=True)


def _analyse(stage: Stage, length: float, asked: list[float], over: Over) -> None:
    with ThreadPoolExecutor(QUERIES) as analysts:
        asking = [analysts.submit(_ask, stage, length, asked, n, over) for n in range(QUERIES)]
        for one in asking:
            one.result()


def _ask(stage: Stage, length: float, asked: list[float], n: int, over: Over) -> None:
    """Ask of the same database what an analyst would, over and over; enter when."""
    over.wait(n * length / QUERIES)
    with stage.session() as session:
        while not over.is_set():
            asked.append(time.monotonic())
            session.execute("select count(*), pg_sleep(%s) from pg_class", [length])


ROW = Row(
    "R13",
    "analytics",
    fault=f"{QUERIES} long queries overlap, {RATE} jobs/s",
    play=_play,
    short=16,
    full=900,
    brief=3,
    mutants={"floor_never_moves": BEHIND},
)
