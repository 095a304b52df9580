"""R4: the database crashes and comes back, over and over, under load."""

from __future__ import annotations

import random
import time
from bisect import bisect

from faults.interruptions import interruptions, workers_expired
from faults.proxy import Proxy
from faults.row import Row
from faults.stage import Stage

WORKERS = 3
RATE = 1_000
CRASHES = 2
"""At least."""
TAKES = 0.02
"""Seconds that a job takes."""
GAP = 5.0, 40.0
"""Seconds between crashes in the full form."""
SHORT_GAP = 1.5, 2.5
LONGEST = 1.5
"""Leases that an outage lasts at most."""
AGAIN = 5.0
"""Seconds from the database's start in which jobs are claimed again."""
TRIES = 50
"""Connections in each second without a database that a worker, which has nine, may try."""


def _play(stage: Stage) -> None:
    low, high = GAP if stage.outcome.is_full else SHORT_GAP
    stopped: list[float] = []
    lasted: list[float] = []
    started: list[float] = []
    tries = 0

    def crash(chance: random.Random) -> str:
        """An immediate stop, and a start after a while."""
        nonlocal tries
        stage.pass_time(chance.uniform(0, high - low))
        stage.server.stop("immediate")
        stopped.append(time.time())
        before = proxy.tried
        stage.pass_time(chance.uniform(0, LONGEST * stage.lease))
        lasted.append(time.time() - stopped[-1])
        tries += proxy.tried - before
        stage.server.start()
        started.append(time.time())
        return "database"

    with Proxy(stage.dsn) as proxy:
        for _ in range(WORKERS):
            stage.crew.hire(proxy.dsn, "--concurrency", "20")
        stage.wait_for_workers(WORKERS)
        with stage.load(rate=RATE, payload={"seconds": TAKES}) as load:
            with stage.nemesis(crash, every=low):
                stage.pass_time()
                stage.wait_until(lambda: len(started) >= CRASHES)
            # There are jobs to begin after the last start, too.
            before = len(stage.ledger.acknowledged())
            stage.wait_until(lambda: len(stage.ledger.acknowledged()) > before)
        stage.finish()
        deaths = stage.crew.deaths()
        stage.crew.dismiss()

    with stage.session() as session:
        blamed, expired = interruptions(session), workers_expired(session)
    begun = sorted(run.began for runs in stage.ledger.runs().values() for run in runs)
    stage.figure("crashes of the database", len(started), least=CRASHES)
    stage.figure("enqueues that failed meanwhile", len(load.failures), least=1)
    stage.figure("worker processes that ended", deaths, most=0)
    stage.figure("workers expired", expired, most=0)
    stage.figure("jobs lost by a worker", len(blamed), most=0)
    stage.figure(
        "connections tried, a worker and second",
        tries / WORKERS / max(sum(lasted), 0.1),
        most=TRIES,
    )
    after = [begun[n] - at if (n := bisect(begun, at)) < len(begun) else None for at in started]
    stage.figure("starts after which no job began", after.count(None), most=0)
    stage.figure(
        "longest from its start to the next job's",
        max((wait for wait in after if wait is not None), default=0.0),
        most=AGAIN,
        unit=" s",
        is_time=True,
    )


ROW = Row(
    "R4",
    "database crash loop",
    fault=f"immediate stop and start of the database, {RATE:,} jobs/s",
    play=_play,
    short=15,
    full=1800,
    # What is not on disk when a commit is acknowledged is not a moment later either.
    settings={"wal_writer_delay": "10s", "bgwriter_lru_maxpages": "0"},
    brief=6,
    mutants={
        "asynchronous_commit": "lost",
        "no_backoff": "connections tried, a worker and second",
    },
)
