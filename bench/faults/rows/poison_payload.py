"""R16: payloads that nobody can read, or only just, between ordinary ones."""

from __future__ import annotations

import psycopg

from faults.interruptions import interruptions
from faults.poisons import POISONS, TASKS, offer
from faults.row import Row
from faults.stage import Stage

GOOD = 1_000
PATIENCE = 30.0
"""Seconds in which all of them end."""

OUTCOMES = """
select s.state, coalesce(d.error_class, ''), coalesce(d.message, '')
from pgq.job_status s
left join pgq.dead d on d.job_id = s.id
where s.id = %s
"""


def _play(stage: Stage) -> None:
    stage.crew.hire(stage.dsn, "--processes", "2")
    stage.wait_for_workers()
    offers = [(name, task) for name in POISONS for task in TASKS]
    stage.chance.shuffle(offers)
    refused: dict[tuple[str, str], str] = {}
    taken: dict[int, tuple[str, str]] = {}
    with stage.session() as session:
        for name, task in offers:
            stage.enqueue(-(-GOOD // len(offers)))
            try:
                taken[offer(session, name, task)] = (name, task)
            except psycopg.Error as error:
                refused[name, task] = f"{error.sqlstate}: {error.diag.message_primary or ''}"
    good = list(stage.ledger.acknowledged())
    stage.condemned.update(taken)
    stage.ledger.acknowledge(taken)
    stage.finish(PATIENCE)

    with stage.session() as session:
        ended = {job: session.execute(OUTCOMES, [job]).fetchone() for job in taken}
        unseen = [job for job in taken if not _shown(session, job)]
        blamed = interruptions(session)
    dead = {job: row for job, row in ended.items() if row and row[0] == "dead"}
    mute = [job for job, row in dead.items() if not (row[1] and row[2])]
    mute_refusals = [what for what, said in refused.items() if said.endswith(": ")]
    logs = stage.crew.logs()
    done = stage.ledger.runs()
    stage.figure("poisonous payloads offered", len(offers), least=len(POISONS) * len(TASKS))
    stage.figure("refused", len(refused), least=1)
    stage.figure("dead-lettered", len(dead), least=1)
    stage.figure("refused or dead without a word", len(mute) + len(mute_refusals), most=0)
    stage.figure("that cannot be shown", len(unseen), most=0)
    stage.figure("good jobs done", sum(job in done for job in good), least=GOOD)
    stage.figure("claims that failed", logs.count("cannot claim"), most=0)
    stage.figure("worker processes that ended", stage.crew.deaths(), most=0)
    stage.figure("jobs whose process died", len(blamed), most=0)
    stage.evidence(f"dead without a word: {taken[job]}" for job in mute)
    stage.evidence(f"refused without a word: {what}" for what in mute_refusals)
    stage.evidence(f"not shown: {taken[job]}" for job in unseen)


def _shown(session: psycopg.Connection[tuple[object, ...]], job: int) -> bool:
    """Whether people and programs can look at it."""
    try:
        session.execute("select * from pgq.get_job(%s)", [job])
        session.execute("select payload::text, headers::text from pgq.get_payload(%s)", [job])
        session.execute("select * from pgq.list_logs(%s)", [job])
        session.execute("select * from pgq.list_attempts(%s)", [job])
    except psycopg.Error:
        return False
    return True


ROW = Row(
    "R16",
    "poison payload",
    fault=f"{len(POISONS)} odd payloads for {len(TASKS)} tasks, among {GOOD:,} good ones",
    play=_play,
    short=1,
    full=1,
    mutants={"decoded_together": "worker processes that ended"},
)
