"""No-op jobs, by real worker processes, beside bare deletes of a hundred rows."""

from __future__ import annotations

from collections.abc import Iterator

from pgq_bench.bench import Bench, insert, now, rate, wait_finished
from pgq_bench.figures import Figure, Round, compared
from pgq_bench.raw import delete_rate, make_bare
from pgq_bench.server import opened, tidy

TARGETS = {1: 0.2, 4: 0.35}


def run(bench: Bench) -> Iterator[Figure]:
    """With one and with four worker processes; each round has its own raw measurement."""
    rounds: dict[int, list[Round]] = {processes: [] for processes in TARGETS}
    for n in range(bench.rounds):
        for processes in TARGETS:
            bench.say(f"drain: {processes} processes, round {n + 1} of {bench.rounds}")
            with bench.server.fresh() as dsn:
                make_bare(dsn)
                raw = delete_rate(bench.pgbench, dsn, 4 * bench.jobs)
                rounds[processes].append(Round(drained(bench, dsn, processes=processes), raw))
    for processes, least in TARGETS.items():
        yield compared(
            rounds[processes],
            step="drain",
            name=f"{bench.jobs:,} jobs, {processes} worker process{'es' * (processes > 1)}",
            unit="jobs/s",
            raw_name="rows/s deleted by 4 clients",
            least_ratio=least,
        )


def drained(bench: Bench, dsn: str, *, processes: int) -> float:
    """Jobs a second that a worker drains which was idle when they were committed."""
    with bench.worker(dsn, processes=processes), opened(dsn) as session:
        warm = max(100, bench.jobs // 100)
        insert(session, warm)
        wait_finished(session, warm)
        tidy(session, "pgq.ready", "pgq.lease")
        since = now(session)
        insert(session, bench.jobs)
        wait_finished(session, warm + bench.jobs)
        return rate(session, since, bench.jobs)
