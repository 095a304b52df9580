"""R14: the queue works for long; what it needs at the end is what it needed at the beginning."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from faults import checker
from faults.crew import Worker
from faults.row import Row
from faults.stage import Stage
from pgq_bench.figures import percentile
from pgq_bench.server import Session, value

SHORT_RATE, RATE = 200, 1_000
SHORT_VACUUM = 200
"""Dead rows after which a table is vacuumed in the short form: as often, at its lower rate."""
CONCURRENCY = 50
WARM = 4
"""A quarter of the time goes by before anything is compared: retention has to begin."""
LOOKS = 60
PAGE = 8192
VACUUM = "alter table pgq.{} set (autovacuum_vacuum_threshold = {})"
TABLES: Mapping[str, Sequence[str]] = {
    "drained": ("ready", "delayed", "lease", "long_lease", "tally"),
    "kept for a while": ("job", "finished", "attempt", "log"),
    "trimmed": ("floor", "mark", "cursor", "lease_clock", "waiter"),
}
"""Those that are trimmed keep two minutes, and are told in the full form only."""
GROWTH = 1.5
"""Most that they may grow from the first third to the last."""
MEMORY = 1.15
P99 = 1.1
KEPT = "select coalesce(sum(n), 0) from pgq.stats() where metric = 'transition' and label = %s"


@dataclass(frozen=True)
class Look:
    """What there was at some moment."""

    at: float
    pages: Mapping[str, int]
    dead_rows: int
    memory: float


def _play(stage: Stage) -> None:
    rate, kept = RATE if stage.outcome.is_full else SHORT_RATE, stage.seconds / (2 * WARM)
    with stage.session() as session:
        session.execute(
            "select pgq.configure(p_keep_finished => make_interval(secs => %s))", [kept]
        )
        if not stage.outcome.is_full:
            for table in TABLES["drained"]:
                session.execute(VACUUM.format(table, SHORT_VACUUM).encode())
    worker = stage.crew.hire(stage.dsn, "--concurrency", str(CONCURRENCY))
    stage.wait_for_workers()
    looks: list[Look] = []
    with stage.load(rate=rate, task="work_and_tell") as load, stage.session() as session:
        stage.pass_time(stage.seconds / WARM)
        begun = time.time()
        while (now := time.time()) < begun + stage.seconds * (WARM - 1) / WARM:
            looks.append(_look(session, worker))
            stage.pass_time(max(0.2, stage.seconds / LOOKS - (time.time() - now)))
    backlog = stage.unfinished()
    stage.finish()
    first, last = _thirds(looks)
    stage.figure("looks", len(looks), least=9)
    for name in TABLES:
        if name != "trimmed" or stage.outcome.is_full:
            growth = _growth(first, last, partial(_pages, name))
            stage.figure(f"pages of what is {name}, last over first", growth, most=GROWTH)
    stage.figure("dead rows, most in the last third", max(look.dead_rows for look in last))
    memory = _growth(first, last, lambda look: look.memory)
    stage.figure("memory of the worker, last over first", memory, most=MEMORY)
    stage.figure("memory of the worker", max(look.memory for look in last), unit=" MB")
    acknowledged = stage.ledger.acknowledged()
    early, late = (
        percentile(
            stage.waits(job for job, at in acknowledged.items() if some[0].at <= at <= some[-1].at),
            0.99,
        )
        for some in (first, last)
    )
    stage.figure("p99 of a job's wait", late, unit=" s")
    stage.figure("p99 of a job's wait, last over first", late / early, most=P99, is_time=True)
    stage.figure("backlog when the load ended", backlog, most=2 * rate, is_time=True)
    stage.figure("enqueues that failed", len(load.failures), most=0)
    with stage.session() as session:
        _settle_up(stage, session, rate)


def _settle_up(stage: Stage, session: Session, rate: float) -> None:
    """Finished jobs are gone by now, so the counters are compared with the ledger."""
    acknowledged, runs = stage.ledger.acknowledged(), stage.ledger.runs()
    unseen = [job for job in acknowledged if not any(run.ended for run in runs.get(job, ()))]
    left = value(session, "select count(*) from pgq.finished")
    stage.figure("jobs acknowledged", len(acknowledged), least=rate * stage.seconds / 4)
    stage.figure("jobs that retention took", len(acknowledged) - left, least=1)
    stage.figure("retries", value(session, KEPT, ["running>retrying"]), least=1)
    stage.figure("jobs that no handler ended", len(unseen), most=0)
    stage.figure(
        "completed more or less than once",
        abs(checker.completions(session) - len(acknowledged)),
        most=0,
    )
    stage.figure("dead", value(session, KEPT, ["running>dead"]), most=0)
    stage.figure("repaired by the audit", checker.repaired(session), most=0)


def _look(session: Session, worker: Worker) -> Look:
    rows = session.execute("select relation, size_bytes, dead_rows from pgq.list_tables()")
    sizes = {relation: (size, dead) for relation, size, dead in rows}
    return Look(
        time.time(),
        {name: sum(sizes[table][0] for table in some) // PAGE for name, some in TABLES.items()},
        sum(sizes[table][1] for table in TABLES["drained"]),
        sum(map(_resident, (worker.pid, *worker.children()))),
    )


def _thirds(looks: Sequence[Look]) -> tuple[Sequence[Look], Sequence[Look]]:
    third = max(1, len(looks) // 3)
    return looks[:third], looks[-third:]


def _growth(first: Sequence[Look], last: Sequence[Look], what: Callable[[Look], float]) -> float:
    return max(map(what, last)) / max(map(what, first))


def _pages(name: str, look: Look) -> float:
    return look.pages[name]


def _resident(pid: int) -> float:
    """Megabytes; 0 of a process that is gone."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
    return 0.0


ROW = Row(
    "R14",
    "soak",
    fault=(
        f"{RATE:,} jobs/s (short: {SHORT_RATE}), a quarter of them fail once; what is finished is "
        "kept for a while"
    ),
    play=_play,
    short=24,
    full=3 * 3600,
    settings={"autovacuum_naptime": "1s"},
    has_ledger=False,
    mutants={
        "nothing_vacuumed": "pages of what is drained, last over first",
        "nothing_pruned": "pages of what is kept for a while, last over first",
        "jobs_kept_in_memory": "memory of the worker, last over first",
    },
)
