"""R17: handlers that let nothing else run in their process, for longer than a lease."""

from __future__ import annotations

from faults.interruptions import interruptions, workers_expired
from faults.row import Row
from faults.stage import Stage

PROCESSES = 4
RATE = 50
TASKS = ("block", "spin", "hold_the_gil")
CROWD = 100
"""Jobs that come right after each of them, so that its process is claiming when it is starved."""
TAKES = 0.05
"""Seconds that each of these takes."""
QUEUE = "crowded"


def _play(stage: Stage) -> None:
    takes = max(stage.seconds, 2 * stage.lease)
    starving: list[int] = []
    crowd: list[int] = []
    for task in TASKS:
        starving += stage.enqueue(1, task, queue=QUEUE, seconds=takes)
        crowd += stage.enqueue(CROWD, queue=QUEUE, seconds=TAKES)
    # At first half of the room is that queue's: a process claims again before it runs what it got.
    queues = ("--queues", f"{QUEUE},default")
    stage.crew.hire(stage.dsn, "--processes", str(PROCESSES), "--concurrency", "20", *queues)
    stage.wait_until(lambda: len(stage.begun(starving)) == len(starving))
    with stage.load(rate=RATE):
        stage.pass_time(takes)
    stage.finish(2 * takes + 20)

    runs = stage.ledger.runs()
    took = [run.ended - run.began for job in starving for run in runs[job] if run.ended]
    long = [seconds for seconds in took if seconds > stage.lease]
    begun = stage.begun([*starving, *crowd])
    late = [at for at in begun.values() if at > min(begun.values()) + stage.lease]
    twice = {job: ran for job, ran in runs.items() if len(ran) > 1}
    with stage.session() as session:
        expired, blamed = workers_expired(session), interruptions(session)
    stage.figure("handlers that starved their process", len(long), least=len(TASKS))
    stage.figure("jobs that waited for them", len(late), least=1)
    stage.figure("workers expired", expired, most=0)
    stage.figure("jobs lost by a worker", len(blamed), most=0)
    stage.figure("jobs begun twice", len(twice), most=0)
    stage.evidence(f"begun twice: {ran}" for ran in list(twice.values())[:5])
    stage.figure("worker processes that ended", stage.crew.deaths(), most=0)


ROW = Row(
    "R17",
    "starving the heartbeat",
    fault="handlers spin, hold up the event loop, and hold the GIL in C",
    play=_play,
    short=8,
    full=60,
    brief=6,
    mutants={
        "heartbeat_with_handlers": "workers expired",
        "claims_not_in_hand": "jobs begun twice",
    },
)
