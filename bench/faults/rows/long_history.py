"""R26: weeks of finished jobs lie behind the ones that run; claims and scrapes do not notice."""

from __future__ import annotations

import shutil
import time
import urllib.request
import uuid
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from statistics import median
from typing import LiteralString

from faults import checker
from faults.background import Over, beside
from faults.probe import CLAIM
from faults.row import Row
from faults.stage import Stage
from pgq_bench.figures import percentile
from pgq_bench.http import Address, serving
from pgq_bench.server import Session, value

SHORT_RATE, RATE = 200, 1_000
SHORT_JOBS, JOBS = 100_000, 50_000_000
BYTES = 450
"""Of a finished job with its indexes; a history takes half of the disk that is free, at most."""
DAYS = 40
QUEUE = "probed"
"""Of jobs that only the probe claims, so that each claim finds as many."""
PROBED = 10
EVERY = 0.2
PAGES = ("/metrics", "/ui", "/ui/jobs", "/ui/queues", "/ui/workers")
"""What is asked for, one after the other, all the time."""
SCRAPE: LiteralString = "explain (analyze, buffers, format json) select count(*) from pgq.metrics()"
GROWTH = 1.3
"""Pages that a claim touches with the history, over those without, at most."""
SCRAPED = 2.0
"""The same of a scrape, which looks up the size of each day's partitions."""
TIMES = 1.2
MILLISECONDS = 20.0
HISTORY = """
with day as (
    insert into pgq.{job} (id, task, payload, created_at)
    select
        (%(day)s::bigint << 32) + n,
        'work',
        '{{"n": 1}}',
        to_timestamp(%(day)s * 86400 + n / 100)
    from generate_series(1, %(jobs)s) n
    returning id, created_at
)
insert into pgq.{finished} (job_id, lane, outcome, token, attempt, worker, started_at, finished_at)
select d.id, %(lane)s, 'succeeded', gen_random_uuid(), 1, 1, d.created_at, d.created_at
from day d
"""


@dataclass
class Window:
    """What claims and scrapes cost over some time."""

    claims: list[float] = field(default_factory=list)
    """Milliseconds."""
    claim_pages: list[int] = field(default_factory=list)
    scrape_pages: list[int] = field(default_factory=list)
    answers: dict[str, list[float]] = field(default_factory=lambda: {page: [] for page in PAGES})
    """Milliseconds of each page."""


def _play(stage: Stage) -> None:
    rate, jobs = (RATE, _affordable(stage)) if stage.outcome.is_full else (SHORT_RATE, SHORT_JOBS)
    with stage.session() as session:
        session.execute("select pgq.configure(p_keep_finished => '100 days')")
    # The first warms up.
    for seconds in (stage.seconds / 6, stage.seconds / 3):
        before = _window(stage, rate, seconds)
    begun = time.monotonic()
    entered = _enter(stage, _make_days(stage), jobs // DAYS)
    took = time.monotonic() - begun
    for seconds in (stage.seconds / 6, stage.seconds / 3):
        after = _window(stage, rate, seconds)
    stage.finish()
    least = SHORT_JOBS if not stage.outcome.is_full else JOBS / 50
    stage.figure("finished jobs of the past", entered, least=least)
    stage.figure("time to enter them", took, unit=" s")
    stage.figure("claims probed", len(after.claims), least=5)
    stage.figure(
        f"pages that a claim of {PROBED} touches, over those without a past",
        min(after.claim_pages) / min(before.claim_pages),
        most=GROWTH,
    )
    stage.figure(
        "pages that a scrape touches, over those without a past",
        min(after.scrape_pages) / min(before.scrape_pages),
        most=SCRAPED,
    )
    stage.figure("pages that a scrape touches", min(after.scrape_pages))
    stage.figure("p99 of a claim", percentile(after.claims, 0.99), unit=" ms")
    stage.figure(
        "p99 of a claim, over that without a past",
        percentile(after.claims, 0.99) / percentile(before.claims, 0.99),
        most=TIMES,
        is_time=True,
    )
    for page in PAGES:
        most = MILLISECONDS if page == "/metrics" else None
        took_each = after.answers[page]
        stage.figure(
            f"{page}, half of them", median(took_each), most=most, unit=" ms", is_time=True
        )
    _settle_up(stage)


def _settle_up(stage: Stage) -> None:
    """The past has no ledger, so only what is of today is compared."""
    acknowledged = list(stage.ledger.acknowledged())
    with stage.session() as session:
        done = value(
            session,
            "select count(*) from pgq.finished f where f.job_id = any (%s) and f.job_id >= %s",
            [acknowledged, min(acknowledged)],
        )
        repaired = value(
            session, "select coalesce(sum(n), 0) from pgq.stats() where metric = 'repaired'"
        )
        completed = checker.completions(session)
    stage.figure("jobs acknowledged", len(acknowledged), least=1)
    stage.figure("lost", len(acknowledged) - done, most=0)
    stage.figure("completed more or less than once", abs(completed - len(acknowledged)), most=0)
    stage.figure("repaired by the audit", repaired, most=0)


def _affordable(stage: Stage) -> int:
    """As many as the time and half of the free disk allow."""
    free = shutil.disk_usage(stage.folder).free // 2 // BYTES
    return min(round(JOBS * stage.seconds / ROW.full), free)


def _window(stage: Stage, rate: float, seconds: float) -> Window:
    """A worker, a server that people and Prometheus look at, and jobs that come, for so long."""
    seen = Window()
    with stage.session() as session:
        session.execute("vacuum (analyze)")
    with ExitStack() as stack:
        address = stack.enter_context(serving(stage.dsn))
        stack.callback(stage.crew.dismiss)
        stage.crew.hire(stage.dsn)
        stage.wait_for_workers()
        stack.enter_context(stage.load(rate=rate))
        stack.enter_context(beside(partial(_look, address, seen)))
        session = stack.enter_context(stage.session())
        ends_at = time.monotonic() + seconds
        while time.monotonic() < ends_at or not all(seen.answers.values()):
            _probe(stage, session, seen)
            time.sleep(EVERY)
    return seen


def _look(address: Address, seen: Window, over: Over) -> None:
    while not over.is_set():
        for page in PAGES:
            begun = time.perf_counter()
            with urllib.request.urlopen(f"http://{address.host}:{address.port}{page}") as answer:
                answer.read()
            seen.answers[page].append(1000 * (time.perf_counter() - begun))
            over.wait(EVERY)


def _probe(stage: Stage, session: Session, seen: Window) -> None:
    """Claim and complete a few jobs; ask for the metrics."""
    jobs = stage.enqueue(PROBED, queue=QUEUE)
    token = uuid.uuid4()
    plan = value(session, CLAIM, [token, [QUEUE], [PROBED]])[0]
    session.execute("select from pgq.complete_many(%s, %s)", [jobs, [token] * len(jobs)])
    seen.claims.append(plan["Execution Time"])
    seen.claim_pages.append(_pages(plan))
    seen.scrape_pages.append(_pages(value(session, SCRAPE)[0]))


def _pages(plan: dict[str, dict[str, int]]) -> int:
    return plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"]


def _make_days(stage: Stage) -> dict[int, dict[str, str]]:
    """Partitions of the last weeks, by the day's number and the table."""
    with stage.session() as session:
        last = value(session, "select last_value from pgq.job_id_seq")
        today = int(value(session, "select pgq._today()"))
        days = range(today - DAYS, today)
        for day in days:
            session.execute("select setval('pgq.job_id_seq', %s)", [day << 32])
            session.execute("select pgq.partition()")
        session.execute("select setval('pgq.job_id_seq', %s)", [last])
        name = "select pgq._partition_name(%s, %s)"
        return {
            day: {table: value(session, name, [table, day]) for table in ("job", "finished")}
            for day in days
        }


def _enter(stage: Stage, partitions: dict[int, dict[str, str]], jobs: int) -> int:
    """So many jobs a day that ended, with no worker and no server; how many in all."""
    with stage.session() as session:
        lane = value(session, "select pgq._lane('default', 5, false)")
        for day, names in partitions.items():
            values = {"day": day, "jobs": jobs, "lane": lane}
            session.execute(HISTORY.format(**names).encode(), values)
    return jobs * len(partitions)


ROW = Row(
    "R26",
    "long history",
    fault=(
        f"finished jobs of {DAYS} days, {JOBS:,} in the full form, less if it is given less time; "
        f"{RATE:,} jobs/s (short: {SHORT_RATE}), the dashboard and the metrics are read"
    ),
    play=_play,
    short=9,
    full=300,
    has_ledger=False,
    mutants={
        "claim_opens_every_day": (
            f"pages that a claim of {PROBED} touches, over those without a past"
        ),
        "jobs_are_counted": "pages that a scrape touches, over those without a past",
    },
)
