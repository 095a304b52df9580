"""R23: workers are told to stop while their jobs run for longer than the grace period."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial

from faults.crew import Worker
from faults.interruptions import interruptions
from faults.row import Row
from faults.stage import Stage
from pgq_bench.server import value

WORKERS = 3
"""Stopped in each round."""
RUNNING = 6
"""Jobs in each; half of all are in threads, which nobody can stop."""
TAKES = 60.0
GRACE, SHORT_GRACE = 10.0, 1.0
SLACK = 1.0
"""Seconds beyond the grace period in which a worker is gone."""

LEASED = "select count(*) from pgq.lease"
SUSPECTS = "select count(*) from pgq.ready r where r.suspect"
CHARGED = "select count(*) from pgq.attempt a where a.charged"


def _play(stage: Stage) -> None:
    grace = GRACE if stage.outcome.is_full else SHORT_GRACE
    jobs = [
        job
        for task in ("work", "work_in_thread")
        for job in stage.enqueue(WORKERS * RUNNING // 2, task, seconds=TAKES)
    ]
    gone: list[float] = []
    bad = leased = rounds = 0
    deadline = time.monotonic() + stage.seconds
    with stage.session() as session:
        while rounds == 0 or time.monotonic() < deadline:
            rounds += 1
            workers = [
                stage.crew.hire(stage.dsn, "--concurrency", str(RUNNING), "--grace", f"{grace:g}")
                for _ in range(WORKERS)
            ]
            stage.wait_until(partial(_have_begun, stage, rounds * len(jobs)))
            gone += _stopped(workers)
            leased += value(session, LEASED)
            bad += sum(worker.ended() != 0 for worker in workers)
        suspects, charged = value(session, SUSPECTS), value(session, CHARGED)
        blamed = interruptions(session)
        for job in jobs:
            session.execute("select pgq.cancel(%s)", [job])
    stage.finish()
    stage.figure("workers stopped", len(gone), least=WORKERS)
    stage.figure("handlers that they stopped", _begun(stage), least=rounds * len(jobs))
    stage.figure("jobs leased to a worker that is gone", leased, most=0)
    stage.figure("jobs suspected or lost", suspects + len(blamed), most=0)
    stage.figure("attempts charged", charged, most=0)
    stage.figure("workers that ended in no good order", bad, most=0)
    stage.figure(
        "longest from SIGTERM to gone", max(gone), most=grace + SLACK, unit=" s", is_time=True
    )


def _begun(stage: Stage) -> int:
    """Runs that have begun."""
    return sum(len(runs) for runs in stage.ledger.runs().values())


def _have_begun(stage: Stage, runs: int) -> bool:
    return _begun(stage) >= runs


def _stopped(workers: Sequence[Worker]) -> list[float]:
    """Tell them to stop; how long each took."""
    told = time.monotonic()
    for worker in workers:
        worker.tell_to_stop()
    took: dict[Worker, float] = {}
    while len(took) < len(workers) and time.monotonic() < told + 60:
        for worker in workers:
            if worker.ended() is not None:
                took.setdefault(worker, time.monotonic() - told)
        time.sleep(0.02)
    return list(took.values())


ROW = Row(
    "R23",
    "graceful stop",
    fault=f"SIGTERM to {WORKERS} workers whose jobs take {TAKES:g} s",
    play=_play,
    short=10,
    full=450,
    brief=1,
    mutants={"nothing_released": "jobs leased to a worker that is gone"},
)
