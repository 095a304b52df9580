"""R22: workers' clocks are hours off, and the database's is set back and forth."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Mapping

from faults import faketime
from faults.interruptions import interruptions, workers_expired
from faults.row import Row
from faults.stage import PATIENCE, Stage
from pgq_bench.server import value

STEADY, VICTIMS = 2, 2
"""Workers that run long jobs, and those that are killed."""
OFF = 7200
"""Seconds that half of each are ahead, and half behind."""
STEP = 300
"""Seconds by which the database's clock is set."""
EVERY, SHORT_EVERY = 40.0, 3.0
OUTAGE = 4.0
"""Leases that the database is away."""
RUNNING, SHORT_RUNNING = 500, 100
"""Jobs that run all the time."""
RATE = 100
TAKES = 0.2
RECOVERY = 6.0
"""Seconds beyond the lease in which jobs of a worker that died are claimable again."""
NEVER = 2
"""Times this that count as never."""

CHARGED = """
select count(*)
from pgq.attempt a
where a.charged
    and a.reason not in ('lost', 'crashed')
"""
HELD = """
select count(*)
from pgq.lease l
join pgq.worker w on w.id = l.worker
where w.info ->> 'pid' = %s
"""


def _play(stage: Stage) -> None:
    running, every = (RUNNING, EVERY) if stage.outcome.is_full else (SHORT_RUNNING, SHORT_EVERY)
    offset = stage.folder / "offset"
    offset.write_text("+0")
    _start(stage, faketime.environment(file=offset))
    for n in range(STEADY + VICTIMS):
        stage.crew.hire(
            stage.dsn,
            *("--concurrency", str(running // STEADY)),
            *("--queues", "long" if n < STEADY else "default"),
            environment=faketime.environment(OFF if n % 2 else -OFF),
        )
    stage.wait_for_workers(STEADY + VICTIMS)
    stage.enqueue(running, queue="long", seconds=stage.seconds)
    killed: list[int] = []
    recovered: list[float] = []
    limit = stage.lease + RECOVERY

    def step(chance: random.Random) -> str:
        """Set the database's clock; a worker dies right after."""
        ahead = chance.choice([STEP, -STEP])
        now = int(offset.read_text())
        offset.write_text(f"{0 if now else ahead:+d}")
        worker = chance.choice(stage.crew.workers[STEADY:])
        pid, at = worker.pid, time.monotonic()
        killed.append(pid)
        stage.crew.replace(worker)
        with stage.session() as session:
            if stage.wait_until(lambda: not value(session, HELD, [str(pid)]), NEVER * limit):
                recovered.append(time.monotonic() - at)
        return offset.read_text()

    with stage.load(rate=RATE, payload={"seconds": TAKES}):
        with stage.nemesis(step, every=every) as nemesis:
            stage.pass_time(stage.seconds / 2)
        stage.server.stop("immediate")
        offset.write_text(f"{STEP:+d}")
        stage.pass_time(OUTAGE * stage.lease)
        stage.server.start()
        with stage.nemesis(step, every=every) as again:
            stage.pass_time(stage.seconds / 2)
    # Jobs that the outage stopped take as long again.
    stage.finish(max(PATIENCE, stage.seconds))

    with stage.session() as session:
        expired = workers_expired(session)
        blamed = [one for one in interruptions(session) if one.supervisor not in killed]
        charged = value(session, CHARGED) + sum(one.charged for one in blamed)
    stage.figure("steps of the database's clock", len(nemesis.strikes + again.strikes) + 1, least=3)
    stage.figure("workers killed meanwhile", len(killed), least=2)
    stage.figure("workers expired without a cause", max(0, expired - len(killed)), most=0)
    stage.figure("jobs lost by a living worker", len(blamed), most=0)
    stage.figure("attempts charged without a cause", charged, most=0)
    stage.figure("deaths after which jobs stayed leased", len(killed) - len(recovered), most=0)
    stage.figure(
        "longest from a death to claimable again",
        max(recovered, default=0.0),
        most=limit,
        unit=" s",
        is_time=True,
    )


def _start(stage: Stage, environment: Mapping[str, str]) -> None:
    """Start the server anew with this in its environment."""
    stage.server.stop()
    os.environ.update(environment)
    try:
        stage.server.start()
    finally:
        for name in environment:
            del os.environ[name]


ROW = Row(
    "R22",
    "clocks",
    fault=f"workers {OFF / 3600:g} h off, the database's clock set by {STEP / 60:g} min, an outage",
    play=_play,
    short=10,
    full=600,
    brief=6,
    is_timed=False,
    mutants={"lease_clock_steps": "workers expired without a cause"},
)
