"""A queue that has worked for weeks.

What ended on earlier days is entered in bulk; what lives was inserted as by producers, and moved by
the verbs that workers and people call.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import resources

from pgq_bench.server import DAYS, Session, tidy, value

CHUNK = 100_000
CLAIM = 1000
WORKERS = 40
LINES = 3000
"""Of the log of a job that runs."""
SCHEMA = {
    "type": "object",
    "properties": {
        "to": {"type": "string"},
        "user": {"type": "object"},
        "note": {"type": "string"},
    },
    "required": ["to"],
}
"""Of each task's arguments."""


@dataclass(frozen=True)
class Sights:
    """Ids and names of what there is to look at."""

    jobs: dict[str, int]
    """By state; `old` is one that succeeded weeks ago."""
    queue: str
    worker: int
    operation: int
    fingerprint: str


def fill(session: Session, *, live: int, ended: int, say: Callable[[str], None]) -> Sights:
    """Enter so many unfinished jobs, and before them, over 40 days, so many that have ended.

    A 50th of as many are dead letters besides.
    """
    session.execute(resources.files("pgq_bench").joinpath("history.sql").read_bytes())
    # Nothing is old enough to be pruned by the upkeep that follows.
    session.execute(
        "select pgq.configure(p_keep_finished => '100 days', p_keep_dead => '100 days')"
    )
    today = int(value(session, "select pgq._today()"))
    for n in range(DAYS):
        say(f"pages: entering day {n + 1} of {DAYS}")
        day = today - DAYS + n
        session.execute("call history.enter_day(%s, %s)", [day, ended // DAYS])
    session.execute("call history.enter_counts()")
    workers = [_register(session, n) for n in range(WORKERS)]
    running = _live(session, workers, live, say)
    operation = 0
    for _ in range(20):
        operation = value(session, "select pgq.start_operation('cancel', p_ids => array[1])")
    say("pages: vacuum")
    for _ in range(3):
        session.execute("call pgq.tick()")
    relations = ("job", "finished", "attempt", "log", "dead", "ready", "delayed", "lease")
    tidy(session, *(f"pgq.{relation}" for relation in relations))
    jobs = {state: _newest(session, state) for state in ("ready", "scheduled", "retrying", "dead")}
    before = (today - DAYS // 2) << 32
    return Sights(
        jobs={**jobs, "running": running, "old": _newest(session, "succeeded", before)},
        queue="queue 6",
        worker=workers[0],
        operation=operation,
        fingerprint=value(session, "select fingerprint from pgq.list_dead(p_limit => 1)"),
    )


def _live(session: Session, workers: list[int], live: int, say: Callable[[str], None]) -> int:
    """Enter them, and have workers do some; the job with the long log."""
    done, few = max(20, live // 50), max(10, live // 500)
    entered = live + done + 2 * few
    for first in range(1, entered + 1, CHUNK):
        say(f"pages: entering {first:,} of {entered:,} jobs")
        last = min(first + CHUNK - 1, entered)
        session.execute("call history.enqueue(%s, %s)", [first, last])
    say("pages: working")
    for ids, tokens in _claims(session, workers, done):
        session.execute("select pgq.complete_many(p_ids => %s, p_tokens => %s)", [ids, tokens])
    for ids, tokens in _claims(session, workers, done):
        session.execute(
            "select pgq.fail_many(p_ids => %s, p_tokens => %s, p_error_classes => %s, "
            "p_messages => %s, p_retry_ins => array_fill('3 hours'::interval, array[%s]))",
            [ids, tokens, ["TimeoutError"] * len(ids), ["no answer"] * len(ids), len(ids)],
        )
    for ids, tokens in _claims(session, workers, few):
        session.execute(
            "select pgq.fail_many(p_ids => %s, p_tokens => %s, p_error_classes => %s, "
            "p_messages => %s, p_permanents => array_fill(true, array[%s]))",
            [ids, tokens, ["KeyError"] * len(ids), ["'user'"] * len(ids), len(ids)],
        )
    session.execute(
        "select pgq.cancel(p_id => j.id) "
        "from pgq.list_jobs(p_state => 'scheduled', p_limit => %s) j",
        [few],
    )
    for ids, tokens in _claims(session, workers, few):
        session.execute(
            "select pgq.start(p_ids => %s, p_tokens => %s, p_ran_seconds => "
            "array_fill(5.0::float, array[%s]))",
            [ids, tokens, len(ids)],
        )
    session.execute(
        "select pgq.log(p_id => %s, p_token => %s, p_message => 'page ' || n, "
        "p_progress => n / 1e4) from generate_series(1, %s) n",
        [ids[0], tokens[0], LINES],
    )
    return ids[0]


def _claims(
    session: Session, workers: list[int], jobs: int
) -> Iterator[tuple[list[int], list[uuid.UUID]]]:
    """Ids and tokens of so many jobs of all queues, claimed by one worker after the other."""
    queues = [row[0] for row in session.execute("select queue from pgq.list_queues()")]
    left, n = jobs, 0
    while left:
        claimed = session.execute(
            "select c.id, c.token from pgq.claim(p_worker => %s, p_executor => 0, p_token => %s, "
            "p_queues => %s, p_limits => array_fill(%s, array[%s]), p_limit => %s) c",
            [
                workers[n % len(workers)], uuid.uuid4(), queues, CLAIM // 10, len(queues),
                min(left, CLAIM),
            ],
        ).fetchall()  # fmt: skip
        yield [row[0] for row in claimed], [row[1] for row in claimed]
        left -= len(claimed)
        n += 1


def _register(session: Session, n: int) -> int:
    info = {"host": f"web-{n}", "version": "1.0", "tasks": {f"task {t}": SCHEMA for t in range(40)}}
    return int(
        value(
            session,
            "select r.worker from pgq.register_worker(p_name => %s, p_queues => %s, "
            "p_slots => 100, p_info => %s) r",
            [f"web-{n}", [f"queue {(n + q) % 30}" for q in range(15)], json.dumps(info)],
        )
    )


def _newest(session: Session, state: str, before: int | None = None) -> int:
    return int(
        value(
            session,
            "select j.id from pgq.list_jobs(p_state => %s, p_before => %s, p_limit => 1) j",
            [state, before],
        )
    )
