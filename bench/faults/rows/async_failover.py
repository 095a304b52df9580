"""R6: the primary dies with commits that its asynchronous standby has not got."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from faults.pair import Pair
from faults.row import Row
from faults.stage import Stage
from pgq import config

RATE = 1_000
TAKES = 0.02
SHORT_ROUNDS, ROUNDS = 2, 20
LAG = 0.5
"""Seconds of commits that only the primary has, and longer if it takes that for so many jobs."""
MISSED = 100
PAST = 10_000_000
STEP = "select setval('pgq.job_id_seq', nextval('pgq.job_id_seq') + %s)"
"""The runbook's: no id of a job that was lost is given to another one."""


def _play(stage: Stage) -> None:
    pair = Pair(stage, synchronous=False, bin_dir=config.load().postgres_bin)
    in_lag: set[int] = set()
    gone: set[int] = set()
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
                stage.wait_until(partial(_misses, stage, pair, gone))
            in_lag |= {job for job, at in stage.ledger.acknowledged().items() if at >= cut_at}
            pair.fail_over()
            if stage.outcome.mutant != "no_step_past_ids":
                with stage.session() as session:
                    session.execute(STEP, [PAST])
            gone |= stage.lost()
            acknowledged = stage.ledger.acknowledged()
            with stage.load(rate=RATE, dsn=pair.dsn, payload={"seconds": TAKES}):
                stage.pass_time(stage.seconds / rounds / 2)
                stage.wait_until(partial(_goes_on, stage, acknowledged))
            again = stage.ledger.acknowledged()
            reissued += sum(again[job] != at for job, at in acknowledged.items())
            if n < rounds - 1:
                pair.rebuild()
        stage.forgiven.update(in_lag)
        stage.finish()
        stage.crew.dismiss()
        stage.figure("failovers", rounds, least=SHORT_ROUNDS)
        stage.figure("jobs acknowledged within the lag", len(in_lag), least=MISSED)
        stage.figure("of these, lost with it", len(gone & in_lag), least=MISSED)
        stage.figure("ids given to two jobs", reissued, most=0)
    finally:
        pair.close()


def _misses(stage: Stage, pair: Pair, gone: set[int]) -> bool:
    """Whether the standby lacks so many jobs besides those that are gone already."""
    return len(stage.lost(pair.standby) - gone) >= MISSED


def _goes_on(stage: Stage, before: Mapping[int, float]) -> bool:
    """Whether as many jobs came as were lost at least, so that lost ids had their turn."""
    now = stage.ledger.acknowledged()
    return sum(before.get(job) != at for job, at in now.items()) >= MISSED


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
