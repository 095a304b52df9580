"""R29: the database's disk is full for a while, over and over, under load."""

from __future__ import annotations

import random
from contextlib import suppress

import psycopg

from faults.interruptions import workers_expired
from faults.row import Row
from faults.stage import Stage
from pgq.errors import PgqError
from pgq_bench.server import value

WORKERS = 2
RATE = 200
TAKES = 0.5
"""Seconds that a job takes, so that a hundred end while there is no room."""
EVERY, SHORT_EVERY = 15.0, 1.0
"""Seconds between two of these."""
LONGEST = 1.5
"""Leases that it lasts at most."""
CHARGED = "select count(*) from pgq.attempt a where a.charged"
SEGMENTS = 20
"""Of write-ahead log, at most, that a full disk still holds."""
KINDS = ("data", "log", "writes")
"""What the server has no room for; or it takes no writes, as managed ones do before that."""
MESSAGE = "select pg_logical_emit_message(false, '', repeat('x', 1 << 24))"
"""Fills a segment of the write-ahead log."""
SEGMENTS = 20
"""More than there are on the disk when it is full."""
REFUSALS = {
    "no room for data": "No space left on device",
    "no writes": "read-only transaction",
}
"""What enqueueing fails with, in Postgres's words."""


def _play(stage: Stage) -> None:
    kinds = list(KINDS)
    for _ in range(WORKERS):
        stage.crew.hire(stage.dsn, "--concurrency", "100")
    stage.wait_for_workers(WORKERS)
    crashes = 0

    def fill(chance: random.Random) -> str:
        """Leave no room for a while."""
        nonlocal crashes
        kinds.append(kind := kinds.pop(0))
        seconds = chance.uniform(0.5, LONGEST) * stage.lease
        if kind == "writes":
            _take_writes(stage, "off")
            stage.pass_time(seconds)
            _take_writes(stage, "on")
            return kind
        stage.disk.fill()
        if kind == "log":
            crashes += _fill_log(stage)
        stage.pass_time(seconds)
        stage.disk.empty()
        # It may have found no room to recover in, and given up.
        stage.server.start()
        return kind

    with (
        stage.load(rate=RATE, payload={"seconds": TAKES}) as load,
        stage.nemesis(fill, every=EVERY if stage.outcome.is_full else SHORT_EVERY) as nemesis,
    ):
        stage.pass_time()
        stage.wait_until(lambda: len(nemesis.strikes) >= len(KINDS))
    stage.finish()
    deaths = stage.crew.deaths()
    with stage.session() as session:
        charged, expired = value(session, CHARGED), workers_expired(session)
    again = [
        ran
        for ran in stage.ledger.runs().values()
        if any(run.ended is not None for run in ran[:-1])
    ]
    stage.figure("times that it was full", len(nemesis.strikes), least=len(KINDS))
    for name, words in REFUSALS.items():
        failed = sum(words in failure for failure in load.failures)
        stage.figure(f"enqueues refused: {name}", failed, least=1)
    stage.figure("crashes of the database, no room for its log", crashes, least=1)
    stage.figure("worker processes that ended", deaths, most=0)
    stage.figure("workers expired", expired, most=0)
    stage.figure("attempts charged", charged, most=0)
    stage.figure("jobs run again that had ended well", len(again), most=0)
    stage.evidence(f"run again: {ran}" for ran in again[:5])


def _take_writes(stage: Stage, state: str) -> None:
    read_only = {"on": "off", "off": "on"}[state]
    with stage.session() as session:
        session.execute(f"alter system set default_transaction_read_only = {read_only}".encode())
        session.execute("select pg_reload_conf()")


def _fill_log(stage: Stage) -> bool:
    """Write until the log has no room; whether the server crashed of it."""
    with suppress(psycopg.Error, PgqError), stage.session() as session:
        for _ in range(SEGMENTS):
            session.execute(MESSAGE)
        return False
    return True


ROW = Row(
    "R29",
    "full disk",
    fault=f"no room for data, none for the log, no writes at all, in turn; {RATE} jobs/s",
    play=_play,
    short=14,
    brief=8,
    full=600,
    settings={"min_wal_size": "32MB", "max_wal_size": "64MB"},
    disk=512,
    mutants={"want_of_room_is_final": "jobs run again that had ended well"},
)
