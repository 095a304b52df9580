"""R12: old transactions stay open under load, so that dead rows pile up."""

from __future__ import annotations

from functools import partial

from faults import checker
from faults.background import Over, beside
from faults.probe import BEHIND, Probe, behind_dead_rows
from faults.row import Row
from faults.stage import Stage
from pgq_bench.figures import percentile
from pgq_bench.horizon import KINDS, held
from pgq_bench.server import value

RATE = 2_000
QUEUE = "default"
COMERS = 10
"""Idle workers that come and go, each second."""
LONG = "long"
DAY = 86_400.0
"""Seconds that one job would take; it runs for as long as all this lasts."""
PAGES = 3
"""Most that a claim may touch in the last third of a snapshot's life, over the first."""
TIMES = 3
"""Most that a claim may take at p99, over what it takes unpinned."""
SHARE = 0.95


def _play(stage: Stage) -> None:
    with stage.session() as session:
        session.execute("create table elsewhere (n integer)")
    stage.crew.hire(stage.dsn, "--queues", f"{QUEUE},{LONG}")
    stage.wait_for_workers()
    behind_dead_rows(stage)
    [long] = stage.enqueue(1, queue=LONG, timeout=2 * DAY, seconds=DAY)
    seconds = stage.seconds / (len(KINDS) + 1)
    came: list[int] = []
    with stage.load(rate=RATE), beside(partial(_come_and_go, stage, came)):
        free, free_rate = _window(stage, seconds)
        for kind in KINDS:
            with held(stage.dsn, kind, QUEUE):
                pinned, rate = _window(stage, seconds)
            stage.figure(f"{kind}: claims probed", len(pinned.pages), least=5)
            stage.figure(
                f"{kind}: pages a claim touches, last over first",
                pinned.growth(),
                most=PAGES,
                is_time=True,
            )
            stage.figure(
                f"{kind}: p99 of a claim, over unpinned",
                percentile(pinned.milliseconds, 0.99) / percentile(free.milliseconds, 0.99),
                most=TIMES,
                is_time=True,
            )
            stage.figure(
                f"{kind}: jobs run, over unpinned", rate / free_rate, least=SHARE, is_time=True
            )
    stage.figure("idle workers that came and went", len(came), least=stage.seconds)
    stage.figure("runs of a job of a day", len(stage.ledger.runs()[long]), least=1, most=1)
    with stage.session() as session:
        session.execute("select pgq.cancel(%s)", [long])
    stage.finish()


def _window(stage: Stage, seconds: float) -> tuple[Probe, float]:
    """A probe over so many seconds, and the jobs that ran in each of them."""
    probe = Probe(stage)
    with stage.session() as session:
        before = checker.completions(session)
        probe.run(seconds)
        return probe, (checker.completions(session) - before) / seconds


def _come_and_go(stage: Stage, came: list[int], over: Over) -> None:
    """Be idle workers that come, wait for jobs, and go."""
    with stage.session() as session:
        while not over.wait(1 / COMERS):
            worker = value(
                session,
                "select w.worker from pgq.register_worker('comer', '{nothing}', 1, '{}') w",
            )
            session.execute(
                "select pgq.await_jobs(%s, 0, array['nothing', %s], 1)", [worker, QUEUE]
            )
            session.execute("select pgq.heartbeat(%s, '{}', '{}', 0, 'offline')", [worker])
            came.append(worker)


ROW = Row(
    "R12",
    "pinned horizon",
    fault=(
        f"{', '.join(KINDS)}: each with a transaction that stays open, {RATE:,} jobs/s, a job of a "
        f"day, {COMERS} idle workers a second that come and go"
    ),
    play=_play,
    short=40,
    full=5 * 1800,
    brief=5,
    mutants={"floor_never_moves": BEHIND},
)
