"""Somebody who claims a few jobs now and then, and notes what a claim costs."""

from __future__ import annotations

import time
import uuid

from faults.stage import Stage
from pgq_bench.horizon import held
from pgq_bench.server import Session, value

QUEUE = "default"
PROBED = 10
EVERY = 0.1
DEAD = 4_000
TIMES = 3
BEHIND = f"pages of a claim behind {DEAD:,} dead rows, over without"
SETTLES = 10.0
"""Seconds in which claims begin behind them."""

CLAIM = """
explain (analyze, buffers, format json)
select from pgq.claim(
    p_worker => 0, p_executor => 0, p_token => %s, p_queues => %s, p_limits => %s,
    p_lease => interval '1 min'
)
"""
LEASED = "select l.job_id, l.token from pgq.lease l where l.token = %s"


class Probe:
    """Claims a few jobs now and then, and notes pages touched and milliseconds taken."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.pages: list[int] = []
        self.milliseconds: list[float] = []

    def claim(self, session: Session) -> int:
        """Claim once; the pages that it touched."""
        token = uuid.uuid4()
        plan = value(session, CLAIM, [token, [QUEUE], [PROBED]])[0]
        leased = session.execute(LEASED, [token]).fetchall()
        session.execute(
            "select from pgq.complete_many(%s, %s)", [[r[0] for r in leased], [token] * len(leased)]
        )
        self.pages.append(plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"])
        self.milliseconds.append(plan["Execution Time"])
        return self.pages[-1]

    def run(self, seconds: float) -> None:
        """Probe for so long."""
        ends_at = time.monotonic() + seconds
        with self._stage.session() as session:
            while time.monotonic() < ends_at:
                self.claim(session)
                time.sleep(EVERY)

    def growth(self) -> float:
        """Pages that a claim touches in the last third of the time, over those in the first.

        Of the cheapest claims, which found no job: each job that is found costs some more.
        """
        third = max(1, len(self.pages) // 3)
        return min(self.pages[-third:]) / min(self.pages[:third])


def behind_dead_rows(stage: Stage) -> None:
    """Note what a claim of an empty queue touches behind dead rows that cannot be removed."""
    probe = Probe(stage)
    with held(stage.dsn, "reader", QUEUE), stage.session() as session:
        before = min(probe.claim(session) for _ in range(5))
        stage.enqueue(DEAD)
        stage.finish()
        stage.wait_until(lambda: probe.claim(session) <= TIMES * before, SETTLES)
    stage.figure(BEHIND, probe.pages[-1] / before, most=TIMES)
