"""Compares the ledger with the database: what is lost, done twice, overlapped, or was mended."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import psycopg

from faults.ledger import Run
from pgq_bench.server import Session, value

if TYPE_CHECKING:
    from faults.stage import Stage

SHOWN = 5
"""Cases of each kind that are told."""
ENDED = """
select f.job_id, f.outcome, f.token from pgq.finished f
union all
select d.job_id, 'dead', null from pgq.dead d
"""


def unfinished(session: Session, jobs: Sequence[int]) -> int:
    """How many of these jobs have not ended and still can: the database knows of them."""
    return int(
        value(
            session,
            "select count(*) from unnest(%s::bigint[]) i (id) "
            "where exists (select from pgq.job j where j.id = i.id) "
            "and not exists (select from pgq.finished f where f.job_id = i.id) "
            "and not exists (select from pgq.dead d where d.job_id = i.id)",
            [list(jobs)],
        )
    )


def check(stage: Stage, session: Session) -> None:
    """Add the figures that every row has."""
    acknowledged = stage.ledger.acknowledged()
    runs = stage.ledger.runs()
    ended = {job: (outcome, token) for job, outcome, token in session.execute(ENDED)}
    lost = [job for job in acknowledged if job not in ended and job not in stage.forgiven]
    innocent = [
        job
        for job, (outcome, _) in ended.items()
        if outcome == "dead" and job not in stage.condemned
    ]
    stage.figure("jobs acknowledged", len(acknowledged), least=1)
    stage.figure("lost", len(lost), most=0)
    stage.figure("innocent and dead", len(innocent), most=0)
    stage.evidence(f"lost: {_place(session, job)}" for job in lost[:SHOWN])
    stage.evidence(f"dead: {_place(session, job)}" for job in innocent[:SHOWN])
    stage.figure("completed twice", completions(session) - _succeeded(ended.values()), most=0)
    early = list(_early(session, runs)) if stage.outcome.row.is_timed else []
    stage.figure("completed before its handler ended", len(early), most=0)
    stage.evidence(f"completed early: {text}" for text in early[:SHOWN])
    overlaps = list(_overlaps(session, runs))
    stage.figure("overlapped", len(overlaps), most=0)
    stage.evidence(f"overlapped: {text}" for text in overlaps[:SHOWN])
    stage.figure("repaired by the audit", repaired(session), most=0)


def repaired(session: Session) -> int:
    """What `pgq.audit_state` had to mend, now and before."""
    for _ in range(2):
        session.execute("select pgq.audit_state(1000000)")
    return int(
        value(session, "select coalesce(sum(n), 0) from pgq.stats() where metric = 'repaired'")
    )


def completions(session: Session) -> int:
    """How often a job was counted as completed."""
    return int(
        value(
            session,
            "select coalesce(sum(n), 0) from pgq.stats() "
            "where metric = 'transition' and label like '%%>succeeded'",
        )
    )


def _succeeded(ended: Iterable[tuple[str, Any]]) -> int:
    return sum(outcome == "succeeded" for outcome, _ in ended)


def _early(session: Session, runs: dict[int, list[Run]]) -> Iterable[str]:
    """Jobs of handlers that were completed by somebody else's word, while theirs still ran."""
    for job, token, at in session.execute(
        "select job_id, token, extract(epoch from finished_at)::float8 from pgq.finished "
        "where outcome = 'succeeded'"
    ):
        if not (ran := runs.get(job)):
            continue
        ended = [run.ended for run in ran if run.token == str(token)]
        if not ended or ended[0] is None or ended[0] > at:
            yield f"job {job} at {at} with token {token}, of {ran}"


def _overlaps(session: Session, runs: dict[int, list[Run]]) -> Iterable[str]:
    """Pairs of runs of one job that were both accepted and ran at the same time."""
    accepted: dict[int, set[str]] = {}
    for job, token in session.execute(
        "select job_id, token from pgq.finished where token is not null "
        "union all select job_id, token from pgq.attempt where reason in ('error', 'timeout')"
    ):
        accepted.setdefault(job, set()).add(str(token))
    for job, tokens in accepted.items():
        taken = [run for run in runs.get(job, ()) if run.token in tokens]
        for one, other in pairwise(taken):
            if one.ended is None or other.began < one.ended:
                yield f"job {job}: {one} and {other}"


def _place(session: Session, job: int) -> str:
    try:
        reasons = session.execute("select to_json(e)::text from pgq.explain(%s) e", [job])
    except psycopg.ProgrammingError as error:
        return f"job {job}: {error.diag.message_primary}"
    return "\n".join(f"job {job}: {row[0]}" for row in reasons)
