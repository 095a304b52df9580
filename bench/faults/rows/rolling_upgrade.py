"""R24: the next release comes while this one works; and a dump that was made meanwhile."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from faults import checker, mutants
from faults.ledger import ENVIRONMENT, Ledger
from faults.release import VERSION, NextRelease
from faults.row import Row
from faults.stage import Stage
from faults.stale import WRITES, Zombie
from pgq import binaries, config
from pgq.postgres import Postgres
from pgq_bench.server import opened, value

RATE = 500
WORKERS = 2
"""Of each release."""
STALL = 2.0
"""Seconds that producers and workers may have to stop."""
COMES_UP = 60.0
"""Seconds that a worker may take to come up."""
QUEUE = "restored"
HELD = 10
"""Jobs that somebody claims after the dump, which knows nothing of that."""
WAITS = """
select 1 from pg_stat_activity a
where a.application_name = 'pgq migrate' and a.wait_event_type = 'Lock'
"""
RUN = """
select count(*)
from pgq.finished f
join pgq.worker w on w.id = f.worker
where w.name like %s and f.finished_at > to_timestamp(%s)
"""


def _play(stage: Stage) -> None:
    release = NextRelease(
        stage.folder / "next", gives_way=stage.outcome.mutant != "migration_waits"
    )
    part = stage.seconds / 6
    for n in range(WORKERS):
        stage.crew.hire(stage.dsn, "--name", f"old {n}")
    stage.wait_for_workers(WORKERS)
    stage.enqueue(HELD, queue=QUEUE)
    with stage.load(rate=RATE) as load:
        stage.pass_time(part)
        dumped_at = time.time()
        dump = _dump(stage)
        with stage.session() as session:
            zombie = Zombie(session, queue=QUEUE, jobs=HELD)
            zombie.complete(session)
        with _reader(stage.dsn):
            migration = release.migrate(stage.dsn)
            with stage.session() as session:
                stage.wait_until(lambda: session.execute(WAITS).fetchone())
            before = len(stage.ledger.acknowledged())
            stage.pass_time(part)
            meanwhile = len(stage.ledger.acknowledged()) - before
        said, _ = migration.communicate()
        migrated_at = time.time()
        for n in range(WORKERS):
            stage.crew.hire(stage.dsn, "--name", f"next {n}", environment=release.environment)
        stage.wait_for_workers(2 * WORKERS)
        stage.pass_time(part)
        with stage.session() as session:
            last = value(session, "select max(id) from pgq.list_workers()")
        oldest = stage.crew.workers[0]
        stage.crew.replace(oldest)
        came_back = stage.wait_until(lambda: _waits_for_jobs(stage, last), COMES_UP)
        stage.pass_time(part)
        deaths = stage.crew.deaths()
        for worker in stage.crew.workers[:WORKERS]:
            worker.stop()
        stopped_at = time.time()
        stage.pass_time(part)
    stage.finish()
    with stage.session() as session:
        version = value(session, "select pgq.version()")
        old = value(session, RUN, ["old %", migrated_at])
        new = value(session, RUN, ["next %", stopped_at])
        session.execute("select pgq.remark('default', 'of the next release')")
    failed = _errors(stage.server.log)
    stage.figure(
        "jobs acknowledged while a reader was in its way", meanwhile, least=RATE * part / 4
    )
    stage.figure("times that the migration gave way", said.count("gave way"), least=1)
    stage.figure("version of the schema", version, least=VERSION, most=VERSION)
    stage.figure("jobs run by the old release on the new schema", old, least=1)
    stage.figure("old workers that came up on the new schema", came_back, least=1)
    stage.figure("jobs run by the new release alone", new, least=1)
    stage.figure("enqueues that failed", len(load.failures), most=0)
    stage.figure("statements that failed", len(failed), most=0)
    stage.figure("worker processes that ended", deaths, most=0)
    stage.figure(
        "longest without an enqueue", _stall(stage, dumped_at), most=STALL, unit=" s", is_time=True
    )
    stage.figure(
        "longest without a job's start",
        _pause(stage, dumped_at),
        most=STALL,
        unit=" s",
        is_time=True,
    )
    stage.evidence([*load.failures[:3], *failed[:5], said])
    _restore(stage, dump, release, zombie, dumped_at)


# The dump


def _restore(
    stage: Stage, dump: Path, release: NextRelease, zombie: Zombie, dumped_at: float
) -> None:
    """Go on in another cluster, in which nothing of this one's is known but the dump."""
    folder = stage.folder / "second"
    folder.mkdir(mode=0o711)
    bin_dir = config.load().postgres_bin
    second = Postgres(folder, bin_dir=bin_dir, settings=stage.outcome.row.settings)
    stage.afterwards(second.close)
    second.start()
    dsn = make_conninfo(second.dsn, dbname="restored")
    with psycopg.connect(make_conninfo(second.dsn, dbname="postgres"), autocommit=True) as admin:
        admin.execute("create database restored")
    _run(stage, "pg_restore", "--no-owner", "--no-privileges", "--exit-on-error", "-d", dsn, dump)
    migration = release.migrate(dsn)
    said, _ = migration.communicate()
    if migration.returncode:
        raise AssertionError(said)
    ledger = Ledger(stage.folder / "restored")
    acknowledged = stage.ledger.acknowledged()
    with opened(dsn) as session:
        mutants.install(session, stage.outcome.mutant)
        known = {row[0] for row in session.execute("select id from pgq.job")}
        after = Zombie(session, queue=QUEUE, jobs=HELD)
        zombie.write(session)
        zombie.beat(session)
        completed = after.complete(session)
        stage.crew.hire(dsn, environment={**release.environment, ENVIRONMENT: str(ledger.folder)})
        stage.wait_until(lambda: not value(session, _UNFINISHED))
        left = value(session, _UNFINISHED)
        repaired = checker.repaired(session)
    missing = [job for job, at in acknowledged.items() if at < dumped_at and job not in known]
    stage.figure("dump: jobs restored", len(known), least=RATE * stage.seconds / 12)
    stage.figure("dump: jobs acknowledged before it that it lacks", len(missing), most=0)
    stage.figure("dump: jobs that did not end after it was restored", left, most=0)
    stage.figure("dump: jobs completed by the second to claim", completed, least=HELD)
    stage.figure("dump: late writes refused", zombie.refused.total(), least=HELD * len(WRITES))
    stage.figure("dump: late writes accepted", zombie.accepted.total(), most=0)
    stage.figure("dump: repaired by the audit", repaired, most=0)


_UNFINISHED = """
select count(*)
from pgq.job j
where not exists (select from pgq.finished f where f.job_id = j.id)
    and not exists (select from pgq.dead d where d.job_id = j.id)
"""


def _dump(stage: Stage) -> Path:
    """The database as it is now, while it works."""
    stage.folder.chmod(0o777)
    target = stage.folder / "dump"
    _run(stage, "pg_dump", "--format=custom", f"--file={target}", "-d", stage.dsn)
    return target


def _run(stage: Stage, program: str, *arguments: str | Path) -> None:
    found, user = binaries.find(config.load().postgres_bin, copies=stage.server.folder)
    done = binaries.run([found / program, *arguments], user=user)
    if done.returncode:
        raise AssertionError(f"{program}: {done.stderr}")


# What was seen


@contextmanager
def _reader(dsn: str) -> Iterator[None]:
    """Somebody who has read the jobs and does not end the transaction."""
    with psycopg.connect(dsn, application_name="report") as session:
        session.execute("select from pgq.job limit 1")
        yield


def _waits_for_jobs(stage: Stage, last: int) -> bool:
    with stage.session() as session:
        return bool(
            value(
                session,
                "select count(*) from pgq.list_workers() w join pgq.waiter i on i.worker = w.id "
                "where w.id > %s and w.name like 'old %%'",
                [last],
            )
        )


def _errors(log: Path) -> list[str]:
    """What the server's log has of statements that failed; the migration's giving way is none."""
    lines = re.findall(r"^.*(?:ERROR|PANIC):.*$", log.read_text(errors="replace"), re.MULTILINE)
    return [line for line in lines if "canceling statement due to lock timeout" not in line]


def _stall(stage: Stage, since: float) -> float:
    return _longest(at for at in stage.ledger.acknowledged().values() if at > since)


def _pause(stage: Stage, since: float) -> float:
    runs = stage.ledger.runs().values()
    return _longest(run.began for ran in runs for run in ran if run.began > since)


def _longest(moments: Iterable[float]) -> float:
    return max((b - a for a, b in pairwise(sorted(moments))), default=float("inf"))


ROW = Row(
    "R24",
    "rolling upgrade",
    fault=(
        f"the next release's migration and workers come while this one does {RATE:,} jobs/s, one "
        "reads the jobs and stays; a dump of it is restored elsewhere"
    ),
    play=_play,
    short=12,
    full=60,
    brief=6,
    mutants={
        "migration_waits": "jobs acknowledged while a reader was in its way",
        "refuses_newer_schema": "old workers that came up on the new schema",
        "no_fence_of_fail": "dump: late writes accepted",
    },
)
