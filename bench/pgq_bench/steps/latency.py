"""How soon an idle worker starts a job."""

from __future__ import annotations

import time
from collections.abc import Iterator

from pgq_bench.bench import QUEUE, Bench, wait_finished
from pgq_bench.figures import Figure, percentile
from pgq_bench.raw import INSERT, make_bare
from pgq_bench.server import Session, opened

INTERVAL = 0.1
"""Seconds between jobs."""


def run(bench: Bench) -> Iterator[Figure]:
    """From before the INSERT to the start of the handler, on one clock."""
    jobs = max(20, min(300, bench.jobs // 100))
    bench.say(f"latency: {jobs} jobs, one each {INTERVAL * 1000:.0f} ms")
    with bench.server.fresh() as dsn, opened(dsn) as session:
        make_bare(dsn)
        raw = 1000 / bench.pgbench.rate(dsn, INSERT, clients=1, seconds=1)
        with bench.worker(dsn):
            _send(session, 10)
            _send(session, jobs)
            wait_finished(session, jobs + 10)
        took = [
            float(row[0])
            for row in session.execute(
                "select f.result::text::float from pgq.finished f order by f.job_id offset 10"
            )
        ]
    for share, most in ((0.5, 5.0), (0.95, None), (0.99, 20.0)):
        measured = percentile(took, share)
        yield Figure(
            step="latency",
            name=f"enqueue to start, p{share * 100:.0f}",
            value=measured,
            unit="ms",
            raw=raw,
            raw_name="ms for a single insert",
            ratio=measured / raw,
            most=most,
        )


def _send(session: Session, jobs: int) -> None:
    due = time.monotonic()
    for _ in range(jobs):
        due += INTERVAL
        time.sleep(max(0.0, due - time.monotonic()))
        session.execute(
            "insert into pgq.job (task, payload, queue) "
            "values ('stamp', json_build_object('sent', %s::float), %s)",
            [time.monotonic(), QUEUE],
        )
