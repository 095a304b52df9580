"""What happens in the demo. Each act does its part and then tells what should have come of it."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import sysconfig
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pgq.errors import PgqError
from pgq_examples.demo import tasks
from pgq_examples.demo.stage import Check, Stage

JOBS = 1000
FLAKY = 10
DELAY = 3.0
"""Seconds."""

Payload = Mapping[str, Any]


def thousand(stage: Stage) -> Iterator[Check | None]:
    """A thousand jobs on real files: entered by SQL, by Python, and by the command line."""
    payloads = [{"path": path} for path in _files()]
    third = JOBS // 3
    ids = {}
    for source, enter, some in (
        ("SQL INSERT", _enter_by_sql, payloads[:third]),
        ("Python", _enter_by_python, payloads[third : 2 * third]),
        ("pgq enqueue", _enter_by_command, payloads[2 * third :]),
    ):
        ids[source] = enter(stage, some)
        stage.say(f"{len(some)} jobs were entered by {source}")
    yield None
    stage.wait(f"{JOBS} jobs", lambda: _succeeded(stage, itertools.chain(*ids.values())) == JOBS)
    for source, entered in ids.items():
        yield Check(
            f"jobs entered by {source}",
            f"{len(entered)} succeeded, {len(entered)} results right",
            f"{_succeeded(stage, entered)} succeeded, {_right(stage, entered)} results right",
        )


def retries(stage: Stage) -> Iterator[Check | None]:
    """Jobs that fail twice and then succeed."""
    task = tasks.flaky.options(connection=stage.session)
    jobs = [job.id for job in task.enqueue_many_sync(range(FLAKY))]
    stage.say(f"{FLAKY} jobs were entered that fail twice")
    yield None
    stage.wait("the retries", lambda: _succeeded(stage, jobs) == FLAKY)
    stories = Counter(
        f"succeeded on attempt {stage.app.job(job_id).status_sync().attempt} "
        f"after {' and '.join(_bad_attempts(stage, job_id))}"
        for job_id in jobs
    )
    yield Check(
        "jobs that fail twice",
        f"{FLAKY} succeeded on attempt 3 after error and error",
        "; ".join(f"{number} {story}" for story, number in stories.items()),
    )


def dead_letter(stage: Stage) -> Iterator[Check | None]:
    """A job that always fails."""
    job = tasks.doomed.options(connection=stage.session).enqueue_sync()
    stage.say("a job was entered that always fails")
    yield None
    letters = stage.wait(
        "the dead letter",
        lambda: stage.rows(
            "select d.id = %s, d.attempt, d.error_class, d.message from pgq.list_dead() d", job.id
        ),
    )
    yield Check(
        "job that always fails",
        "dead after attempt 3: ValueError: no such customer: 4711",
        "; ".join(
            f"{'dead' if ours else 'another is dead'} after attempt {attempt}: {error}: {message}"
            for ours, attempt, error, message in letters
        ),
    )


def scheduled(stage: Stage) -> Iterator[Check | None]:
    """A job for later."""
    task = tasks.remind.options(connection=stage.session, delay=DELAY)
    job = stage.app.job(task.enqueue_sync("it is time").id)
    before = job.status_sync().state
    stage.say(f"a job was entered for {DELAY:g} s from now")
    yield None
    stage.wait("the scheduled job", lambda: stage.is_done(job.id))
    status = job.status_sync()
    assert status.started_at is not None
    waited = (status.started_at - status.created_at).total_seconds()
    yield Check(
        f"job scheduled {DELAY:g} s ahead",
        "was scheduled, started in time",
        f"was {before}, "
        + ("started in time" if waited >= DELAY else f"started {DELAY - waited:.3f} s too soon"),
    )


def killed(stage: Stage) -> Iterator[Check | None]:
    """A worker that is killed in the middle of a job."""
    job = tasks.haul.options(connection=stage.session).enqueue_sync()
    stage.wait(
        "a third of the long job",
        lambda: stage.rows("select from pgq.list_logs(%s) l where l.progress > 0.3", job.id),
    )
    first = _holder(stage, job.id)
    stage.workers[first].kill()
    stage.say(f"{first} was killed with -9 in the middle of a job")
    stage.wait("the job to finish elsewhere", lambda: stage.is_done(job.id))
    second = _holder(stage, job.id)
    stage.say(f"{second} finished it")
    yield Check(
        "job whose worker is killed -9",
        "finished by another worker on attempt 1 after lost",
        f"finished by {'another' if second != first else 'the same'} worker "
        f"on attempt {stage.app.job(job.id).status_sync().attempt} "
        f"after {' and '.join(_bad_attempts(stage, job.id))}",
    )


def late(stage: Stage) -> Iterator[Check | None]:
    """A worker that stands still for longer than its lease, and then goes on as if nothing were."""
    job = tasks.sign.options(connection=stage.session).enqueue_sync()
    stage.wait(
        "the signing to begin",
        lambda: stage.rows("select from pgq.list_logs(%s)", job.id),
    )
    first = _holder(stage, job.id)
    stage.workers[first].freeze()
    stage.say(f"{first} was frozen in the middle of a job")
    stage.wait("the job to finish elsewhere", lambda: stage.is_done(job.id))
    second = _holder(stage, job.id)
    stage.say(f"{second} finished it; {first} goes on where it was")
    stage.workers[first].thaw()
    refused = stage.wait(
        "the late worker to be refused",
        lambda: stage.rows("select r.supervisor, r.sqlstate from public.refusal r"),
    )
    names = {worker.pid: name for name, worker in stage.workers.items()}
    signed = stage.rows("select s.supervisor from public.signature s")
    yield Check(
        "late worker that completes a lost job",
        f"{first} refused with PQ001; signed once, by {second}",
        "; ".join(f"{names[pid]} refused with {state}" for pid, state in refused)
        + ("; signed once" if len(signed) == 1 else f"; signed {len(signed)} times")
        + f", by {' and '.join(names[pid] for (pid,) in signed)}",
    )


def everything(stage: Stage) -> Iterator[Check | None]:
    """Nothing is lost, left over or repaired."""
    yield None
    states = stage.rows(
        "select j.state, count(*)::integer from pgq.job_status j group by j.state order by j.state"
    )
    repaired = stage.value(
        "select coalesce(sum(s.n), 0)::integer from pgq.stats() s where s.metric = 'repaired'"
    )
    yield Check(
        "all jobs, by state",
        f"1 dead, {JOBS + FLAKY + 3} succeeded; 0 had to be repaired",
        ", ".join(f"{number} {state}" for state, number in states)
        + f"; {repaired} had to be repaired",
    )


def _files() -> list[str]:
    """A thousand files of Python's own library, over again when it has fewer."""
    files = sorted(str(file) for file in Path(sysconfig.get_path("stdlib")).rglob("*.py"))
    return list(itertools.islice(itertools.cycle(files), JOBS))


def _enter_by_sql(stage: Stage, payloads: Sequence[Payload]) -> list[int]:
    with stage.session.transaction():
        return [
            stage.value(
                "insert into pgq.job (task, payload, queue) values (%s, %s, %s) returning id",
                "measure",
                json.dumps(payload),
                tasks.QUEUE,
            )
            for payload in payloads
        ]


def _enter_by_python(stage: Stage, payloads: Sequence[Payload]) -> list[int]:
    task = tasks.measure.options(connection=stage.session)
    return [job.id for job in task.enqueue_many_sync(payloads)]


def _enter_by_command(stage: Stage, payloads: Sequence[Payload]) -> list[int]:
    command = ["enqueue", "measure", "--queue", tasks.QUEUE, "--stdin", "-o", "json"]
    done = subprocess.run(
        [sys.executable, "-m", "pgq", *command],
        input="".join(f"{json.dumps(payload)}\n" for payload in payloads),
        env={**os.environ, "DATABASE_URL": stage.dsn},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise PgqError(f"pgq enqueue failed: {done.stderr.strip()}")
    return [json.loads(line)["id"] for line in done.stdout.splitlines()]


def _succeeded(stage: Stage, ids: Iterable[int]) -> int:
    return int(
        stage.value(
            "select count(*) from pgq.job_status j "
            "where j.id = any (%s::bigint[]) and j.state = 'succeeded'",
            list(ids),
        )
    )


def _right(stage: Stage, ids: list[int]) -> int:
    rows = stage.rows(
        "select p.payload->>'path', p.result::text "
        "from unnest(%s::bigint[]) i (id) cross join lateral pgq.get_payload(i.id) p",
        ids,
    )
    return sum(json.loads(result) == tasks.measure(path) for path, result in rows)


def _bad_attempts(stage: Stage, job_id: int) -> list[str]:
    return [row[0] for row in stage.rows("select a.reason from pgq.list_attempts(%s) a", job_id)]


def _holder(stage: Stage, job_id: int) -> str:
    name = stage.app.job(job_id).status_sync().worker_name
    assert name is not None
    return name
