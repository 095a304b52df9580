"""R3: a database goes back to before a claim; who claimed then knows nothing of it."""

from __future__ import annotations

import time
from collections import Counter

import psycopg
from psycopg.conninfo import make_conninfo

from faults.row import Row
from faults.stage import Stage
from faults.stale import WRITES, Zombie
from pgq.postgres import DATABASE

JOBS = 10
"""Of a round, that were there before the copy; as many come after it, and their ids come again."""
QUEUE = "restored"
COPY = "copy"


def _play(stage: Stage) -> None:
    accepted: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    reissued = rounds = twins = completed = 0
    deadline = time.monotonic() + stage.seconds
    while time.monotonic() < deadline:
        stage.enqueue(JOBS, queue=QUEUE)
        _copy(stage, DATABASE, COPY)
        with stage.session() as session:
            later = {row[0] for row in session.execute(_MORE, [QUEUE, JOBS])}
            before = Zombie(session, queue=QUEUE, jobs=2 * JOBS)
        _copy(stage, COPY, DATABASE)
        again = set(stage.enqueue(JOBS, queue=QUEUE))
        with stage.session() as session:
            before.write(session)
            after = Zombie(session, queue=QUEUE, jobs=2 * JOBS)
            before.write(session)
            before.beat(session)
            completed += after.complete(session)
            before.write(session)
        reissued += len(later & again)
        accepted += before.accepted
        refused += before.refused
        twins += before.worker == after.worker
        rounds += 1
    stage.finish(5)
    stage.figure("restored to before the claim", rounds, least=1)
    stage.figure("job ids given out again", reissued, least=1)
    stage.figure("jobs completed by the second to claim", completed, least=2 * JOBS * rounds)
    stage.figure("late writes refused", refused.total(), least=3 * 2 * JOBS * len(WRITES) * rounds)
    stage.figure("worker ids given out again", twins, least=rounds)
    for kind in (*WRITES, "heartbeat"):
        stage.figure(f"stale {kind} accepted", accepted[kind], most=0)


_MORE = """
insert into pgq.job (task, queue)
select 'work', %s from generate_series(1, %s)
returning id
"""


def _copy(stage: Stage, source: str, target: str) -> None:
    """Put a copy of the one database in the place of the other."""
    with psycopg.connect(make_conninfo(stage.dsn, dbname="postgres"), autocommit=True) as session:
        session.execute(f"drop database if exists {target} with (force)".encode())
        session.execute(f"create database {target} template {source}".encode())


ROW = Row(
    "R3",
    "token after a restore",
    fault="the database is restored to before a claim, and the jobs are claimed by somebody else",
    play=_play,
    short=6,
    full=60,
    brief=2,
    mutants={
        "no_fence_of_complete": "stale complete accepted",
        "no_fence_of_fail": "stale fail accepted",
        "no_token_of_workers": "stale heartbeat accepted",
    },
)
