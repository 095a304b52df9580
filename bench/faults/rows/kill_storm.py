"""R1: worker processes are killed, one after the other, under load."""

from __future__ import annotations

import random
import signal
import time

from faults.crew import Worker
from faults.interruptions import Blows, interruptions, suspects_delays, workers_expired
from faults.row import Row
from faults.stage import Stage

WORKERS = 8
EVERY = 2.0
RATE = 2_000
TAKES = 0.05
"""Seconds that a job takes."""
BUSY = """
select (w.info ->> 'pid')::integer
from pgq.lease l
join pgq.worker w on w.id = l.worker
where l.claimed_at > clock_timestamp() - interval '20 ms'
group by w.id
having count(*) >= 3
"""
"""Workers that have just begun some jobs, so that a blow meets these."""
SLACK = 1.0
"""Seconds beyond the lease until an interrupted job is claimable again."""


def _play(stage: Stage) -> None:
    for _ in range(WORKERS):
        stage.crew.hire(stage.dsn, "--concurrency", "20")
    stage.wait_for_workers(WORKERS)
    blows, killed = Blows(), list[int]()

    def kill(chance: random.Random) -> str:
        """A whole worker, or one of its children."""
        victims: list[Worker] = []

        def some_are_busy() -> bool:
            busy = {pid for (pid,) in onlooker.execute(BUSY)}
            victims[:] = [worker for worker in stage.crew.workers if worker.pid in busy]
            return bool(victims)

        if not stage.wait_until(some_are_busy, EVERY):
            return ""
        worker = chance.choice(victims)
        pid = worker.pid
        blows.note(pid, time.time())
        if chance.random() < 0.5:
            stage.crew.replace(worker)
            killed.append(pid)
            return f"worker {pid}"
        child = worker.signal_child(signal.SIGKILL, chance)
        return f"child {child} of worker {pid}" if child else ""

    with (
        stage.session() as onlooker,
        stage.load(rate=RATE, payload={"seconds": TAKES}),
        stage.nemesis(kill, every=EVERY) as nemesis,
    ):
        stage.pass_time()
    stage.finish()

    with stage.session() as session:
        interrupted = interruptions(session)
        expired = workers_expired(session)
    delays = [(one, blows.delay(one)) for one in interrupted]
    unexplained = [one for one, delay in delays if delay is None]
    at_once = [one for one in interrupted if one.charged and one.first]
    stage.figure("processes killed", len(nemesis.strikes), least=stage.seconds / EVERY / 1.5)
    stage.figure("jobs interrupted", len(interrupted), least=1)
    stage.figure("interrupted without a blow", len(unexplained), most=0)
    stage.figure("workers expired without a blow", max(0, expired - len(killed)), most=0)
    stage.figure("charged at the first blow", len(at_once), most=0)
    stage.evidence(f"without a blow: {one}" for one in unexplained[:5])
    stage.evidence(f"charged at the first blow: {one}" for one in at_once[:5])
    stage.figure(
        "longest from blow to claimable again",
        max((delay for _, delay in delays if delay is not None), default=0.0),
        most=stage.lease + SLACK,
        unit=" s",
        is_time=True,
    )
    starts = suspects_delays(interrupted, stage.ledger.runs()) or [0.0]
    stage.figure("from then to its start, half of them", starts[len(starts) // 2], unit=" s")
    stage.figure("from then to its start, longest", starts[-1], unit=" s")


ROW = Row(
    "R1",
    "kill storm",
    fault=f"kill -9 of one of {WORKERS} workers or its child every {EVERY:g} s, {RATE:,} jobs/s",
    play=_play,
    short=20,
    full=300,
    brief=5,
    mutants={
        "no_suspects": "charged at the first blow",
        "no_renewal": "workers expired without a blow",
    },
)
