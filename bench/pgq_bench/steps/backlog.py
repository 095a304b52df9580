"""Jobs taken from a long backlog, beside the same from a short one."""

from __future__ import annotations

from collections.abc import Iterator

from pgq_bench.bench import QUEUE, Bench, insert, now, rate, wait_finished
from pgq_bench.figures import Figure, Round, compared
from pgq_bench.server import Session, opened, tidy, value

LONG = 50
"""Times the short backlog: a million to 20,000."""


def run(bench: Bench) -> Iterator[Figure]:
    """Alternately from two databases; the queue is paused between measurements."""
    jobs = max(100, bench.jobs // 5)
    bench.say(f"backlog: entering {jobs * LONG:,} jobs")
    with (
        bench.server.fresh() as short,
        bench.server.fresh() as long,
        opened(short) as few,
        opened(long) as many,
    ):
        for session in (few, many):
            session.execute("select pgq.pause(p_queue => %s)", [QUEUE])
        insert(many, jobs * (LONG - 1))
        with bench.worker(short), bench.worker(long):
            rounds = []
            for n in range(bench.rounds + 1):
                bench.say(f"backlog: round {n} of {bench.rounds}")
                small, large = (_taken(session, jobs) for session in (few, many))
                rounds.append(Round(large, small))
    yield compared(
        rounds[1:],  # the first warms up
        step="backlog",
        name=f"{jobs:,} jobs of {jobs * LONG:,}, 1 process",
        unit="jobs/s",
        raw_name=f"of {jobs:,}",
        least_ratio=0.9,
    )


def _taken(session: Session, jobs: int) -> float:
    insert(session, jobs)
    tidy(session, "pgq.ready", "pgq.lease")
    done = value(
        session,
        "select coalesce(sum(s.n), 0) from pgq.stats() s "
        "where s.metric = 'transition' and s.label = 'running>succeeded'",
    )
    since = now(session)
    session.execute("select pgq.resume(p_queue => %s)", [QUEUE])
    wait_finished(session, done + jobs)
    session.execute("select pgq.pause(p_queue => %s)", [QUEUE])
    return rate(session, since, jobs)
