"""R17: handlers that let nothing else run in their process, for longer than a lease."""

from __future__ import annotations

from faults.interruptions import interruptions, workers_expired
from faults.row import Row
from faults.stage import Stage

PROCESSES = 4
RATE = 50
TASKS = ("spin", "block", "hold_the_gil")


def _play(stage: Stage) -> None:
    takes = max(stage.seconds, 2 * stage.lease)
    stage.crew.hire(stage.dsn, "--processes", str(PROCESSES), "--concurrency", "2")
    stage.wait_for_workers()
    starving = [job for task in TASKS for job in stage.enqueue(1, task, seconds=takes)]
    with stage.load(rate=RATE):
        stage.pass_time(takes)
    stage.finish(2 * takes + 20)

    runs = stage.ledger.runs()
    took = [run.ended - run.began for job in starving for run in runs[job] if run.ended]
    long = [seconds for seconds in took if seconds > stage.lease]
    with stage.session() as session:
        expired, blamed = workers_expired(session), interruptions(session)
    stage.figure("handlers that starved their process", len(long), least=len(TASKS))
    stage.figure("workers expired", expired, most=0)
    stage.figure("jobs lost by a worker", len(blamed), most=0)
    stage.figure("jobs begun twice", sum(len(ran) > 1 for ran in runs.values()), most=0)
    stage.figure("worker processes that ended", stage.crew.deaths(), most=0)


ROW = Row(
    "R17",
    "starving the heartbeat",
    fault="handlers spin, hold up the event loop, and hold the GIL in C",
    play=_play,
    short=8,
    full=60,
    brief=5,
    mutants={"heartbeat_with_handlers": "workers expired"},
)
