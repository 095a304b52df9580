"""R11: the queue of notifications is full, because a listener sits idle in a transaction."""

from __future__ import annotations

from contextlib import suppress

import psycopg

from faults.row import Row
from faults.stage import Stage
from pgq_bench.server import value

PAGES = 64
"""The smallest that there is: half a megabyte."""
LONG = "x" * 7000
RATE = 50


def _play(stage: Stage) -> None:
    stage.crew.hire(stage.dsn)
    stage.wait_for_workers()
    with stage.session() as idler, stage.session() as session:
        idler.execute("listen somewhere")
        idler.execute("begin")
        idler.execute("select 1")
        used = 0.0
        while used < 0.97:
            session.execute("select pg_notify('somewhere', %s || random())", [LONG])
            used = float(value(session, "select pg_notification_queue_usage()"))
        with suppress(psycopg.errors.ProgramLimitExceeded):
            while True:
                session.execute("select pg_notify('somewhere', random()::text)")
        with stage.load(rate=RATE) as load:
            stage.pass_time()
        stage.figure("share of the queue in use", used, least=0.97)
        stage.figure("enqueues that failed", len(load.failures), most=0)
        stage.evidence(load.failures[:5])
        idler.execute("rollback")
    stage.finish()
    stage.forgotten(stage.waits())


ROW = Row(
    "R11",
    "NOTIFY queue full",
    fault="a listener idle in a transaction keeps the server's queue of notifications full",
    play=_play,
    short=10,
    full=60,
    settings={"max_notify_queue_pages": str(PAGES)},
    brief=5,
    mutants={"rings_when_the_queue_is_full": "enqueues that failed"},
)
