"""R5: the primary dies, and its synchronous standby is promoted."""

from __future__ import annotations

import time
from functools import partial

from faults.pair import Pair
from faults.patroni import Patroni
from faults.row import Row
from faults.stage import Stage
from pgq import config
from pgq_bench.server import value

RATE = 1_000
TAKES = 0.02
ROUND = 10.0
"""Seconds of load in each."""
ROUNDS = 2
"""At least."""
CUT = 0.5
"""Seconds before its death in which the primary's word does not reach the standby."""
AGAIN = 10.0
"""Seconds from a promotion in which jobs are claimed again."""

WAITING = "select count(*) from pg_stat_activity where wait_event = 'SyncRep'"


def _play(stage: Stage) -> None:
    synchronous = stage.outcome.mutant != "asynchronous_standby"
    kept = Patroni if stage.outcome.is_full else Pair
    pair = kept(stage, synchronous=synchronous, bin_dir=config.load().postgres_bin)
    stage.afterwards(pair.close)
    killed: list[float] = []
    promoted: list[float] = []
    stage.crew.hire(pair.dsn, "--concurrency", "20")
    stage.crew.hire(pair.dsn, "--concurrency", "20")
    with stage.load(rate=RATE, dsn=pair.dsn, payload={"seconds": TAKES}) as load:
        rounds = max(ROUNDS, round(stage.seconds / ROUND))
        for n in range(rounds):
            stage.pass_time(stage.chance.uniform(0.5, 1.5) * stage.seconds / rounds)
            pair.cut()
            stage.pass_time(CUT)
            stage.wait_until(partial(_is_felt, stage, pair.dsn, time.time()))
            killed.append(time.time())
            promoted.append(pair.fail_over())
            stage.pass_time(stage.seconds / rounds / 2)
            if n < rounds - 1:
                pair.rebuild()
    stage.finish()
    deaths = stage.crew.deaths()
    stage.crew.dismiss()
    begun = sorted(run.began for runs in stage.ledger.runs().values() for run in runs)
    waits = [min((at for at in begun if at > when), default=1e9) - when for when in promoted]
    stage.figure("failovers", len(promoted), least=ROUNDS)
    stage.figure("enqueues that failed meanwhile", len(load.failures), least=1)
    stage.figure("worker processes that ended", deaths, most=0)
    waited = max(at - when for when, at in zip(killed, promoted, strict=True))
    stage.figure("longest from its death to a promotion", waited, unit=" s")
    stage.figure(
        "longest from promotion to a job's start",
        max(waits),
        most=AGAIN,
        unit=" s",
        is_time=True,
    )


def _is_felt(stage: Stage, dsn: str, since: float) -> bool:
    """Whether a commit waits for the standby, or several were acknowledged without it."""
    entered = {at for at in stage.ledger.acknowledged().values() if at > since}
    with stage.session(dsn) as session:
        return len(entered) > 1 or bool(value(session, WAITING))


ROW = Row(
    "R5",
    "failover",
    fault=f"the primary is killed, its synchronous standby promoted, {RATE:,} jobs/s",
    play=_play,
    short=8,
    full=200,
    settings={"max_wal_senders": "10"},
    brief=3,
    mutants={"asynchronous_standby": "lost"},
)
