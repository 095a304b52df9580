"""R25: a thousand idle slots and one job; then all workers start at once."""

from __future__ import annotations

import time

from faults.pooler import Pooler
from faults.row import Row
from faults.rows.notify_cost import hear_rings
from faults.stage import Stage
from pgq_bench.server import value

SHORT_WORKERS, WORKERS = 8, 200
CONNECTIONS = 100
"""That the server has; many workers share them through PgBouncer, where nobody is woken."""
SHARED = 80
SLOTS = 1_000
MOST = 5
"""Executors that one job may wake; each claims."""
UP = 60.0
"""Seconds in which all workers have to be up again."""


def _play(stage: Stage) -> None:
    workers, dsn = SHORT_WORKERS, stage.dsn
    if stage.outcome.is_full:
        pooler = Pooler(stage.dsn, size=SHARED, clients=20 * WORKERS)
        pooler.start()
        stage.afterwards(pooler.stop)
        workers, dsn = WORKERS, pooler.dsn
    for _ in range(workers):
        stage.crew.hire(dsn, "--concurrency", str(SLOTS // workers))
    stage.wait_for_workers(workers)
    woken = []
    with stage.session() as ear:
        hear_rings(ear)
        for _ in range(round(stage.seconds)):
            stage.enqueue(1)
            stage.finish()
            woken.append(sum(note.payload == "w" for note in ear.notifies(timeout=stage.poll)))

    with stage.session() as session:
        last = value(session, "select max(id) from pgq.list_workers()")
    begun = time.monotonic()
    for worker in stage.crew.workers:
        stage.crew.replace(worker)
    stage.wait_for_workers(workers, after=last)
    took = time.monotonic() - begun
    stage.enqueue(SLOTS)
    stage.finish()
    stage.figure("jobs that came alone", len(woken), least=5)
    stage.figure("fewest executors that one of them woke", min(woken), least=1)
    stage.figure("most", max(woken), most=MOST)
    stage.figure("workers restarted at once", workers, least=SHORT_WORKERS)
    stage.figure("from that until all wait for jobs", took, most=UP, unit=" s", is_time=True)


ROW = Row(
    "R25",
    "herd",
    fault=f"{SLOTS:,} idle slots and one job; then all workers are killed and start at once",
    play=_play,
    short=10,
    full=60,
    settings={"max_connections": str(CONNECTIONS)},
    brief=5,
    mutants={"everybody_is_woken_for_one": "most"},
)
