"""R19: many clients enqueue under the same keys, and never hear whether they did."""

from __future__ import annotations

import random
import threading
import time
from collections import defaultdict
from itertools import pairwise

import psycopg

from faults.proxy import Line, Proxy
from faults.row import Row
from faults.stage import Stage
from pgq import database
from pgq.errors import PgqError
from pgq_bench.server import Session, value

CLIENTS = 64
KEYS = 10_000
SHORT_KEYS = 300
SHARES = 16
"""Of the keys: each is fought for by four clients at once."""
CUTS = 1_000
SHORT_CUTS = 50
LOOKS = 5
EVERY = 0.05
"""Seconds between cuts."""
WORKERS = 2
TAKES = 0.05

UNFINISHED = """
select j.unique_key, count(*) as n
from pgq.job j
where not exists (select from pgq.finished f where f.job_id = j.id)
    and not exists (select from pgq.dead d where d.job_id = j.id)
group by j.unique_key
"""
SPANS = """
select j.unique_key, j.id, extract(epoch from f.finished_at)::float8
from pgq.job j
join pgq.finished f on f.job_id = j.id
"""


def _play(stage: Stage) -> None:
    keys = [f"key {n}" for n in range(KEYS if stage.outcome.is_full else SHORT_KEYS)]
    least = CUTS if stage.outcome.is_full else SHORT_CUTS
    over, looks = threading.Event(), _Looks()
    shared = [threading.Event() for _ in range(CLIENTS)]
    with Proxy(stage.dsn) as proxy:
        cut: list[Line] = []

        def lose(chance: random.Random) -> str:
            """The next answer to one of the clients."""
            line = proxy.swallow(chance)
            cut.extend([line] if line else [])
            return "line" if line else ""

        clients = [
            threading.Thread(target=_enqueue, args=(stage, proxy.dsn, keys, n, shared[n], over))
            for n in range(CLIENTS)
        ]
        with stage.nemesis(lose, every=EVERY):
            for client in clients:
                client.start()
            # No worker yet: each key has its one job before long, and keeps it.
            stage.wait_until(lambda: all(map(threading.Event.is_set, shared)))
            stage.pass_time(stage.seconds / 3)
            with stage.session() as session:
                held = dict(session.execute(UNFINISHED).fetchall())
            for _ in range(WORKERS):
                stage.crew.hire(stage.dsn)
            with stage.session() as session:
                deadline = time.monotonic() + stage.seconds * 2 / 3
                while time.monotonic() < deadline or looks.count < LOOKS:
                    looks.take(session)
                    stage.pass_time(0.2)
            stage.wait_until(lambda: sum(line.cut for line in cut) >= least)
            over.set()
            for client in clients:
                client.join()
    stage.finish()

    wrong = [key for key in keys if held.get(key) != 1]
    with stage.session() as session:
        created = value(session, "select count(*) from pgq.job")
        together = _together(stage, session)
    stage.figure("connections cut before the answer", sum(line.cut for line in cut), least=least)
    stage.figure("jobs created", created, least=len(keys))
    stage.figure("keys without exactly one unfinished job", len(wrong), most=0)
    stage.figure("looks at all keys while workers ran", looks.count, least=LOOKS)
    stage.figure("keys with two unfinished jobs, at any look", len(looks.double), most=0)
    stage.figure("runs of one key at the same time", len(together), most=0)
    stage.evidence(f"{key}: {held.get(key, 0)} unfinished jobs" for key in wrong[:5])
    stage.evidence(together[:5])


class _Looks:
    """What was seen of the keys from time to time."""

    def __init__(self) -> None:
        self.count = 0
        self.double: set[str] = set()

    def take(self, session: Session) -> None:
        self.count += 1
        self.double.update(key for key, n in session.execute(UNFINISHED) if n > 1)


def _enqueue(
    stage: Stage,
    dsn: str,
    keys: list[str],
    n: int,
    shared: threading.Event,
    over: threading.Event,
) -> None:
    """Each of its share of keys once, then any; again with the same one until there is an answer.

    By the verb or by a bare INSERT, which says nothing when the key is taken.
    """
    chance = random.Random(f"{stage.outcome.seed} {n}")
    share = keys[n % SHARES :: SHARES]
    while not over.is_set():
        try:
            with database.connect(dsn, application_name="pgq producer") as session:
                while not over.is_set():
                    key = share[-1] if share else chance.choice(keys)
                    query = _VERB if chance.random() < 0.5 else _INSERT
                    rows = session.execute(query, {"key": key, "payload": _PAYLOAD}).fetchall()
                    stage.ledger.acknowledge(row[0] for row in rows)
                    if share:
                        share.pop()
                    else:
                        shared.set()
        except (psycopg.OperationalError, PgqError):
            continue


_PAYLOAD = f'{{"seconds": {TAKES}}}'
_VERB = "select id from pgq.enqueue('work', p_payload => %(payload)s, p_unique_key => %(key)s)"
_INSERT = (
    "insert into pgq.job (task, payload, unique_key) values ('work', %(payload)s, %(key)s) "
    "returning id"
)


def _together(stage: Stage, session: Session) -> list[str]:
    """Jobs of one key of which the second began before the first was finished."""
    runs = stage.ledger.runs()
    spans: dict[str, list[tuple[float, float, int]]] = defaultdict(list)
    for key, job, at in session.execute(SPANS):
        if job in runs:
            spans[key].append((runs[job][0].began, at, job))
    return [
        f"{key}: jobs {one[2]} and {other[2]}"
        for key in spans
        for one, other in pairwise(sorted(spans[key]))
        if other[0] < one[1]
    ]


ROW = Row(
    "R19",
    "uniqueness",
    fault=f"{CLIENTS} clients on the same keys, cut off between commit and answer",
    play=_play,
    short=9,
    full=120,
    brief=6,
    mutants={"keys_looked_up": "keys with two unfinished jobs, at any look"},
)
