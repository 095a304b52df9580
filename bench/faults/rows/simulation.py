"""R27: many sessions call every verb in any order, and a model tells what has to come of it."""

from __future__ import annotations

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from faults import simulation
from faults.field import SESSIONS
from faults.row import Row
from faults.stage import Stage
from pgq.postgres import DATABASE

SEEDS, SHORT_SEEDS = 10_000, 100
"""At least, however long they take: in fewer a verb may not be called."""
SHORT_PROCESSES = 2
VERBS = frozenset(
    {
        *("insert", "enqueue", "enqueue_many", "register_worker", "heartbeat", "claim"),
        *("complete", "complete_many", "fail", "fail_many", "snooze", "decline"),
        *("release", "release_executor", "start", "extend", "log"),
        *("cancel", "retry", "redrive", "purge", "edit", "run_now"),
        *("pause", "resume", "configure_queue", "duplicate", "drain"),
        *("start_operation", "stop_operation", "operate"),
        *("promote", "reap", "settle", "fold", "partition", "prune", "audit_state", "tick"),
    }
)


def _play(stage: Stage) -> None:
    processes = (os.cpu_count() or 1) if stage.outcome.is_full else SHORT_PROCESSES
    seeds = SEEDS if stage.outcome.is_full else SHORT_SEEDS
    played = simulation.Played()
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        runs = [
            pool.submit(
                simulation.play,
                _copy(stage, n),
                first=stage.outcome.seed + n,
                every=processes,
                least=-(-seeds // processes),
                seconds=stage.seconds,
            )
            for n in range(processes)
        ]
        for run in runs:
            played.add(run.result())
    rarest = min(sorted(VERBS), key=lambda verb: played.calls[verb])
    stage.figure("seeds", played.seeds, least=seeds)
    stage.figure("statements compared with the model", played.steps, least=50 * played.seeds)
    stage.figure("verbs called", sum(played.calls[verb] > 0 for verb in VERBS), least=len(VERBS))
    least = 500 if stage.outcome.is_full else 1
    stage.figure(f"calls of the rarest, {rarest}", played.calls[rarest], least=least)
    stage.figure("seeds that broke the model", len(played.broken), most=0)
    stage.evidence(f"broken by seed {number}" for number in played.broken)
    stage.evidence(played.evidence)


def _copy(stage: Stage, number: int) -> str:
    """A database like the stage's, for one process."""
    name = f"simulation_{number}"
    with psycopg.connect(make_conninfo(stage.dsn, dbname="postgres"), autocommit=True) as session:
        session.execute(
            sql.SQL("create database {} template {}").format(
                sql.Identifier(name), sql.Identifier(DATABASE)
            )
        )
    return make_conninfo(stage.dsn, dbname=name)


ROW = Row(
    "R27",
    "simulation",
    fault=f"{SESSIONS} sessions call every verb in any order, in transactions that may roll back",
    play=_play,
    short=15,
    full=1200,
    brief=8,
    mutants=dict.fromkeys(
        ("attempts_not_charged", "keys_not_freed", "floor_past_what_waits"),
        "seeds that broke the model",
    ),
    # Vacuum between simulations only, by the simulation: its locks are not in the model.
    settings={
        "autovacuum": "off",
        "fsync": "off",
        "full_page_writes": "off",
        "synchronous_commit": "off",
    },
    has_ledger=False,
)
