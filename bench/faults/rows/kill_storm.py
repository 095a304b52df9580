"""R1: worker processes are killed, one after the other, under load."""

from __future__ import annotations

import random
import signal

from faults.crew import Worker
from faults.row import Row
from faults.stage import Stage

WORKERS = 8
EVERY = 2.0
RATE = 2_000


def _play(stage: Stage) -> None:
    for _ in range(WORKERS):
        stage.crew.hire(stage.dsn, "--concurrency", "20")

    def kill(chance: random.Random) -> str:
        """A whole worker, or one of its children."""
        worker: Worker = chance.choice(stage.crew.workers)
        if chance.random() < 0.5:
            stage.crew.replace(worker)
            return f"worker {worker.pid}"
        child = worker.signal_child(signal.SIGKILL, chance)
        return f"child {child}" if child else ""

    with stage.load(rate=RATE), stage.nemesis(kill, every=EVERY) as nemesis:
        stage.pass_time()
    stage.finish()
    stage.figure("processes killed", len(nemesis.strikes), least=stage.seconds / EVERY / 1.5)


ROW = Row(
    "R1",
    "kill storm",
    fault=f"kill -9 of one of {WORKERS} workers or its child every {EVERY:g} s, {RATE:,} jobs/s",
    play=_play,
    short=20,
    full=300,
    mutants=(),
)
