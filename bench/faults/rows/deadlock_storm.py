"""R18: everybody does everything to the same few jobs at once."""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable

import psycopg

from faults.load import INSERT
from faults.row import Row
from faults.stage import Stage
from pgq_bench.server import Session, value

JOBS = 500
SHORT_SESSIONS, SESSIONS = 40, 200
MANY = 20
"""Jobs that one call is about, at most."""
OURS = ("PQ001", "PQ002", "PQ003", "PQ007", "PQ008")
"""Refusals that are to be expected when others were quicker."""


class _Storm:
    """What the sessions came to, all together."""

    def __init__(self, jobs: list[int]) -> None:
        self.jobs = jobs
        self.calls: Counter[str] = Counter()
        self.clashes: list[tuple[str, str]] = []
        self.errors: list[tuple[str, str]] = []
        """Verb and SQLSTATE, and all that was said."""
        self.made = len(jobs)
        self.purged = 0
        self._lock = threading.Lock()

    def act(self, session: Session, chance: random.Random) -> None:
        """One verb on some of the jobs, now and then two in one transaction."""
        verb = chance.choice(VERBS)
        purged = None
        try:
            with session.transaction():
                purged = verb(self, session, chance)
        except psycopg.Error as error:
            if error.sqlstate not in OURS:
                kind = error.sqlstate or type(error).__name__
                errors = self.clashes if kind in ("40001", "40P01") else self.errors
                errors.append((f"{verb.__name__.strip('_')}: {kind}", str(error)))
                return
        with self._lock:
            self.calls[verb.__name__.strip("_")] += 1
            self.purged += purged or 0

    def add(self, jobs: list[int], chance: random.Random) -> None:
        with self._lock:
            self.made += len(jobs)
            for job in jobs:
                self.jobs[chance.randrange(len(self.jobs))] = job

    def some(self, chance: random.Random) -> list[int]:
        return chance.sample(self.jobs, chance.randint(1, MANY))


Verb = Callable[[_Storm, Session, random.Random], int | None]


def _claim(storm: _Storm, session: Session, chance: random.Random) -> None:
    session.execute(
        "select from pgq.claim(p_worker => 0, p_executor => 0, p_token => %s, "
        "p_queues => '{default}', p_limits => %s, p_lease => make_interval(secs => %s))",
        [uuid.uuid4(), [chance.randint(1, MANY)], chance.uniform(0.01, 2)],
    )


def _end(statement: str) -> Verb:
    """A verb of those who hold leases, with the tokens that the jobs have now."""

    def end(storm: _Storm, session: Session, chance: random.Random) -> None:
        held = session.execute(
            "select job_id, token from pgq.lease order by random() limit %s", [MANY]
        ).fetchall()
        if held:
            session.execute(
                statement.encode(), [[row[0] for row in held], [row[1] for row in held]]
            )

    end.__name__ = statement.partition("pgq.")[2].partition("(")[0]
    return end


def _on_one(statement: str) -> Verb:
    """A verb of operators, on one job."""

    def on_one(storm: _Storm, session: Session, chance: random.Random) -> None:
        session.execute(statement.encode(), [chance.choice(storm.jobs)])

    on_one.__name__ = statement.partition("pgq.")[2].partition("(")[0]
    return on_one


def _upkeep(statement: str) -> Verb:
    def upkeep(storm: _Storm, session: Session, chance: random.Random) -> None:
        session.execute(statement.encode())

    upkeep.__name__ = statement.partition("pgq.")[2].partition("(")[0]
    return upkeep


def _enqueue(storm: _Storm, session: Session, chance: random.Random) -> None:
    """New jobs, in the places of others that nobody thinks of any more."""
    rows = session.execute(INSERT, ["work", "default", "{}", MANY]).fetchall()
    storm.add([row[0] for row in rows], chance)


def _purge(storm: _Storm, session: Session, chance: random.Random) -> int:
    return int(value(session, "select pgq.purge(p_ids => %s)", [storm.some(chance)]))


VERBS: list[Verb] = [
    _enqueue,
    _claim,
    _claim,
    _claim,
    _end("select from pgq.complete_many(%s, %s)"),
    _end("select from pgq.fail_many(%s, %s)"),
    _end("select from pgq.release(%s, %s)"),
    _end(
        "select from (select %s::bigint[] as ids, %s::uuid[] as tokens) a, "
        "pgq.start(a.ids, a.tokens, array_fill(0.5::float8, array[cardinality(a.ids)]))"
    ),
    _on_one("select pgq.cancel(%s)"),
    _on_one("select pgq.retry(%s)"),
    _on_one("select pgq.retry(%s)"),
    _on_one("select pgq.run_now(%s)"),
    _on_one("select pgq.edit(%s, p_priority => 3)"),
    _upkeep("select pgq.redrive(p_queue => 'default')"),
    _upkeep("select pgq.reap()"),
    _upkeep("select pgq.promote()"),
    _upkeep("select pgq.settle()"),
    _upkeep("select pgq.fold()"),
    _purge,
]


def _play(stage: Stage) -> None:
    with stage.session() as session:
        session.execute(
            "select pgq.configure(p_max_attempts => 2, p_backoff_base => '0.01 s', "
            "p_backoff_max => '0.05 s')"
        )
        rows = session.execute(INSERT, ["work", "default", "{}", JOBS]).fetchall()
    storm = _Storm([row[0] for row in rows])
    ends_at = time.monotonic() + stage.seconds
    sessions = SESSIONS if stage.outcome.is_full else SHORT_SESSIONS
    threads = [
        threading.Thread(
            target=_run, args=(stage, storm, ends_at, random.Random(stage.chance.random()))
        )
        for _ in range(sessions)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    with stage.session() as session:
        left = [row[0] for row in session.execute("select id from pgq.job")]
        session.execute("select pgq.configure(p_max_attempts => 30000)")
    stage.ledger.acknowledge(left)
    stage.condemned.update(left)
    stage.crew.hire(stage.dsn)
    stage.finish()
    stage.figure("calls", storm.calls.total(), least=stage.seconds * sessions)
    stage.figure("least calls of a verb", min(storm.calls.values(), default=0), least=5)
    stage.figure("deadlocks and serialization errors", len(storm.clashes), most=0)
    stage.figure("other errors", len(storm.errors), most=0)
    stage.figure("jobs gone that nobody purged", storm.made - len(left) - storm.purged, most=0)
    for errors in (storm.clashes, storm.errors):
        for kind, said in dict(reversed(errors)).items():
            times = sum(kind == other for other, _ in errors)
            stage.evidence([f"{times} × {kind}, first: {said}"])


def _run(stage: Stage, storm: _Storm, ends_at: float, chance: random.Random) -> None:
    with stage.session() as session:
        while time.monotonic() < ends_at:
            storm.act(session, chance)


ROW = Row(
    "R18",
    "deadlock storm",
    fault=f"many sessions claim, end, cancel, retry, edit, reap and purge over {JOBS} jobs",
    play=_play,
    short=10,
    full=600,
    settings={"max_connections": "300"},
    brief=4,
    mutants={"no_order_of_locks": "deadlocks and serialization errors"},
)
