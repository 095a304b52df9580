"""R6: the primary dies with commits that its asynchronous standby has not got."""

from __future__ import annotations

import time

from faults.pair import Pair
from faults.row import Row
from faults.stage import Stage
from pgq import config

RATE = 1_000
TAKES = 0.02
SHORT_ROUNDS, ROUNDS = 2, 20
LAG = 0.5
"""Seconds of commits that only the primary has."""
PAST = 10_000_000
STEP = "select setval('pgq.job_id_seq', nextval('pgq.job_id_seq') + %s)"
"""The runbook's: no id of a job that was lost is given to another one."""


def _play(stage: Stage) -> None:
    pair = Pair(stage, synchronous=False, bin_dir=config.load().postgres_bin)
    lags: list[tuple[float, float]] = []
    reissued = 0
    try:
        for _ in range(2):
            stage.crew.hire(pair.dsn, "--concurrency", "20")
        rounds = ROUNDS if stage.outcome.is_full else SHORT_ROUNDS
        for n in range(rounds):
            with stage.load(rate=RATE, dsn=pair.dsn, payload={"seconds": TAKES}):
                stage.pass_time(stage.chance.uniform(0.5, 1.5) * stage.seconds / rounds)
                cut_at = pair.cut()
                stage.pass_time(LAG)
            lags.append((cut_at, time.time()))
            pair.fail_over()
            if stage.outcome.mutant != "no_step_past_ids":
                with stage.session() as session:
                    session.execute(STEP, [PAST])
            acknowledged = stage.ledger.acknowledged()
            with stage.load(rate=RATE, dsn=pair.dsn, payload={"seconds": TAKES}):
                stage.pass_time(stage.seconds / rounds / 2)
            again = stage.ledger.acknowledged()
            reissued += sum(again[job] != at for job, at in acknowledged.items())
            if n < rounds - 1:
                pair.rebuild()
        in_lag = {
            job
            for job, at in stage.ledger.acknowledged().items()
            if any(begin <= at <= end for begin, end in lags)
        }
        stage.forgiven.update(in_lag)
        stage.finish()
        stage.crew.dismiss()
        stage.figure("failovers", len(lags), least=SHORT_ROUNDS)
        stage.figure("jobs acknowledged within the lag", len(in_lag), least=10)
        stage.figure("of these, lost with it", len(stage.lost() & in_lag), least=1)
        stage.figure("ids given to two jobs", reissued, most=0)
    finally:
        pair.close()


ROW = Row(
    "R6",
    "asynchronous failover",
    fault=f"the primary is killed, its standby {LAG:g} s behind is promoted, {RATE:,} jobs/s",
    play=_play,
    short=8,
    full=200,
    settings={"max_wal_senders": "10"},
    brief=3,
    mutants={"no_step_past_ids": "ids given to two jobs"},
)
