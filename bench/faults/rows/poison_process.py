"""R15: jobs that end their process, among many that do not."""

from __future__ import annotations

from collections import Counter

from faults.handlers import ENDS
from faults.interruptions import interruptions
from faults.row import Row
from faults.stage import Stage

POISONS, SHORT_POISONS = 10, 5
CRASHES = 3
"""After which a job is dead: what every new queue has."""
WORKERS = 2
JOBS, SHORT_JOBS = 10_000, 1_000
TAKES = 0.02
PATIENCE = 180.0
"""Seconds that the crashes may take: each is a process that starts."""

DEAD = "select d.job_id, d.crashes from pgq.dead d where d.reason = 'crashed'"
CHARGED = "select a.job_id from pgq.attempt a where a.reason in ('crashed', 'lost') and a.charged"


def _play(stage: Stage) -> None:
    jobs = JOBS if stage.outcome.is_full else SHORT_JOBS
    count = POISONS if stage.outcome.is_full else SHORT_POISONS
    poisons: list[int] = []
    for _ in range(WORKERS):
        stage.crew.hire(stage.dsn, "--processes", "2")
    stage.wait_for_workers(WORKERS)
    for n in range(count):
        stage.enqueue(jobs // count // 2, seconds=TAKES)
        poisons += stage.enqueue(1, "end_process", how=ENDS[n % len(ENDS)])
        stage.enqueue(jobs // count // 2, seconds=TAKES)
    stage.condemned.update(poisons)
    stage.finish(PATIENCE)

    with stage.session() as session:
        dead = dict(session.execute(DEAD).fetchall())
        charged = Counter(row[0] for row in session.execute(CHARGED))
        blamed = {one.job for one in interruptions(session)}
    died_well = [job for job in poisons if dead.get(job) == charged[job] == CRASHES]
    innocent = sorted(charged.keys() - set(poisons))
    stage.figure("processes that jobs ended", stage.crew.deaths(), least=CRASHES * count)
    stage.figure(f"poisonous jobs dead after {CRASHES} crashes", len(died_well), least=count)
    stage.figure("other jobs that were in such a process", len(blamed - set(poisons)), least=1)
    stage.figure("of these, charged", len(innocent), most=0)
    stage.evidence(
        f"poisonous job {job}: dead after {dead.get(job)} crashes, charged {charged[job]} times"
        for job in poisons
        if job not in died_well
    )
    stage.evidence(f"charged though innocent: job {job}" for job in innocent[:5])


ROW = Row(
    "R15",
    "poison process",
    fault=f"{POISONS} jobs that kill their process or eat its memory, among {JOBS:,}",
    play=_play,
    short=1,
    full=1,
    mutants={"no_suspects": "of these, charged", "suspects_in_company": "of these, charged"},
)
