"""R12: old transactions stay open under load, so that dead rows pile up."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

from faults.ledger import Pen
from faults.row import Row
from faults.stage import Stage
from pgq_bench.figures import percentile
from pgq_bench.horizon import KINDS, held
from pgq_bench.server import Session, value

RATE = 2_000
QUEUE = "default"
PROBED = 10
PROBE_EVERY = 0.1
COMERS = 10
"""Idle workers that come and go, each second."""
PAGES = 3
"""Most that a claim may touch in the last third of a snapshot's life, over the first."""
TIMES = 3
"""Most that a claim may take at p99, over what it takes unpinned."""
SHARE = 0.95
CLAIM = """
explain (analyze, buffers, format json)
select from pgq.claim(
    p_worker => 0, p_executor => 0, p_token => %s, p_queues => %s, p_limits => %s,
    p_lease => interval '1 min'
)
"""
LEASED = "select l.job_id, l.token from pgq.lease l where l.token = %s"


class _Probe:
    """Claims a few jobs now and then, and notes pages touched and milliseconds taken."""

    def __init__(self, stage: Stage) -> None:
        self._stage, self._pen = stage, Pen(stage.ledger.folder)
        self.pages: list[int] = []
        self.milliseconds: list[float] = []

    def claim(self, session: Session) -> None:
        token = uuid.uuid4()
        plan = value(session, CLAIM, [token, [QUEUE], [PROBED]])[0]
        leased = session.execute(LEASED, [token]).fetchall()
        for job, _ in leased:
            self._pen.start(job, token, 1)
            self._pen.end(job, token, 1)
        session.execute(
            "select from pgq.complete_many(%s, %s)", [[r[0] for r in leased], [token] * len(leased)]
        )
        self.pages.append(plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"])
        self.milliseconds.append(plan["Execution Time"])

    def run(self, seconds: float) -> None:
        """Probe for so long."""
        ends_at = time.monotonic() + seconds
        with self._stage.session() as session:
            while time.monotonic() < ends_at:
                self.claim(session)
                time.sleep(PROBE_EVERY)


def _play(stage: Stage) -> None:
    with stage.session() as session:
        session.execute("create table elsewhere (n integer)")
    stage.crew.hire(stage.dsn)
    stage.wait_for_workers()
    seconds = stage.seconds / (len(KINDS) + 1)
    with stage.load(rate=RATE), _comers(stage):
        free, free_rate = _window(stage, seconds)
        for kind in KINDS:
            with held(stage.dsn, kind, QUEUE):
                pinned, rate = _window(stage, seconds)
            stage.figure(f"{kind}: claims probed", len(pinned.pages), least=5)
            third = len(pinned.pages) // 3
            stage.figure(
                f"{kind}: pages a claim touches, last over first",
                median(pinned.pages[-third:]) / median(pinned.pages[:third]),
                most=PAGES,
            )
            stage.figure(
                f"{kind}: p99 of a claim, over unpinned",
                percentile(pinned.milliseconds, 0.99) / percentile(free.milliseconds, 0.99),
                most=TIMES,
                is_time=True,
            )
            stage.figure(
                f"{kind}: jobs run, over unpinned", rate / free_rate, least=SHARE, is_time=True
            )
    stage.finish()


def _window(stage: Stage, seconds: float) -> tuple[_Probe, float]:
    """A probe over so many seconds, and the jobs that ran in each of them."""
    probe = _Probe(stage)
    with stage.session() as session:
        before = _succeeded(session)
        probe.run(seconds)
        return probe, (_succeeded(session) - before) / seconds


def _succeeded(session: Session) -> int:
    return int(
        value(
            session,
            "select coalesce(sum(n), 0) from pgq.stats() "
            "where metric = 'transition' and label = 'running>succeeded'",
        )
    )


@contextmanager
def _comers(stage: Stage) -> Iterator[None]:
    """Idle workers that come, wait for jobs of their own queue, and go."""
    over = threading.Event()

    def come() -> None:
        with stage.session() as session:
            while not over.wait(1 / COMERS):
                worker = value(
                    session,
                    "select w.worker from pgq.register_worker('comer', '{nothing}', 1, '{}') w",
                )
                session.execute(
                    "select pgq.await_jobs(%s, 0, array['nothing', %s], 1)", [worker, QUEUE]
                )
                session.execute("select pgq.heartbeat(%s, '{}', '{}', 0, 'offline')", [worker])

    thread = threading.Thread(target=come, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


ROW = Row(
    "R12",
    "pinned horizon",
    fault=f"{', '.join(KINDS)}: each with a transaction that stays open, {RATE:,} jobs/s",
    play=_play,
    short=40,
    full=5 * 1800,
    mutants={"floor_never_moves": "reader: pages a claim touches, last over first"},
)
