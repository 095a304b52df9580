"""R7: what a worker and the database say to each other vanishes for a while."""

from __future__ import annotations

import time

from faults.proxy import Proxy
from faults.row import Row
from faults.stage import Stage

HELD, SHORT_HELD = 20, 8
"""Jobs that run when the line goes dead."""
SOON = 5.0
"""Seconds after healing in which a new job has to start."""


def _play(stage: Stage) -> None:
    count = HELD if stage.outcome.is_full else SHORT_HELD
    with Proxy(stage.dsn) as proxy:
        stage.crew.hire(proxy.dsn, "--concurrency", str(count), "--queues", "default,cut_off")
        stage.wait_for_workers()
        held = stage.enqueue(count, "work_long_once", seconds=stage.seconds + stage.lease)
        stage.wait_until(lambda: len(stage.begun(held)) == count)
        frozen_at = time.time()
        proxy.freeze()
        stage.crew.hire(stage.dsn, "--concurrency", str(count))
        stage.pass_time()
        proxy.heal()
        healed_at = time.time()
        late = stage.enqueue(1, queue="cut_off")
        stage.wait_until(lambda: stage.begun(late))
        stage.finish(stage.seconds + stage.lease + 60)

    runs = stage.ledger.runs()
    first = [runs[job][0] for job in held]
    told = [run.stopped for run in first if run.stopped and run.stopped < healed_at]
    again = [job for job in held if len(runs[job]) > 1]
    begun = stage.begun(late)
    stage.figure("lines that went dead", 1, least=1)
    stage.figure("jobs running when they did", len(first), least=count)
    stage.figure("of these, told to stop while cut off", len(told), least=count)
    stage.figure(
        "told later than the lease ended",
        sum(at > frozen_at + stage.lease for at in told),
        most=0,
        is_time=True,
    )
    stage.figure("of these, run by another worker", len(again), least=count)
    stage.figure("new job run after healing", len(begun), least=1)
    for at in begun.values():
        stage.figure(
            "from healing to its start", at - healed_at, most=SOON, unit=" s", is_time=True
        )


ROW = Row(
    "R7",
    "black hole",
    fault="all that a worker and the database send each other vanishes",
    play=_play,
    short=6,
    full=60,
    brief=3,
    mutants={"handlers_go_on": "of these, told to stop while cut off"},
)
