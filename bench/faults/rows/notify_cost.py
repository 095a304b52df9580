"""R10: what wake-ups cost those who commit, while idle workers listen on other queues."""

from __future__ import annotations

from statistics import median

from psycopg import sql

from faults.row import Row
from faults.stage import Stage
from pgq import config
from pgq_bench.raw import Pgbench
from pgq_bench.server import Session, value

COMMITTERS = 64
LISTENERS = 10
ROUNDS = 3
LEAST = 0.9
INSERT = "insert into pgq.job (task, queue) values ('work', 'elsewhere');"


def hear_rings(ear: Session) -> None:
    """Listen on behalf of all executors that wait."""
    channels = ear.execute(
        "select distinct format('pgq_%s_%s', w.worker, w.executor) from pgq.waiter w"
    ).fetchall()
    for (channel,) in channels:
        ear.execute(sql.SQL("listen {}").format(sql.Identifier(channel)))


def _play(stage: Stage) -> None:
    for n in range(LISTENERS):
        stage.crew.hire(stage.dsn, "--queues", f"idle_{n}")
    stage.wait_for_workers(LISTENERS)
    pgbench = Pgbench(config.load().postgres_bin)
    seconds = stage.seconds / (2 * ROUNDS)
    ratios = []
    with stage.session() as ear:
        hear_rings(ear)
        for _ in range(ROUNDS):
            on, off = (
                pgbench.rate(
                    f"{stage.dsn}&options=-cpgq.wake%3D{wake}",
                    INSERT,
                    clients=COMMITTERS,
                    seconds=seconds,
                )
                for wake in ("on", "off")
            )
            ratios.append(on / off)
        heard = [note.payload for note in ear.notifies(timeout=1) if note.payload == "w"]
        committed = int(value(ear, "select count(*) from pgq.job"))
    stage.figure("jobs committed", committed, least=1000)
    stage.figure("wake-ups of workers that had no job", len(heard), most=0)
    stage.figure("rate with wake-ups over without", median(ratios), least=LEAST, is_time=True)
    stage.crew.hire(stage.dsn, "--queues", "elsewhere")
    with stage.session() as session:
        stage.ledger.acknowledge(row[0] for row in session.execute("select id from pgq.job"))
    stage.finish()


ROW = Row(
    "R10",
    "cost of NOTIFY",
    fault=f"{COMMITTERS} committers, and {LISTENERS} idle workers of other queues",
    play=_play,
    short=12,
    full=120,
    settings={"max_connections": "200"},
    brief=6,
    mutants={"everybody_is_woken": "wake-ups of workers that had no job"},
)
