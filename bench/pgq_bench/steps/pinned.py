"""The drain while somebody holds an old snapshot, beside the same without."""

from __future__ import annotations

from collections.abc import Iterator

from pgq_bench.bench import Bench
from pgq_bench.figures import Figure, Round, compared
from pgq_bench.horizon import held
from pgq_bench.steps.drain import drained


def run(bench: Bench) -> Iterator[Figure]:
    """Alternately, each in a new database; the snapshot is a reader's, older than the jobs."""
    rounds = []
    for n in range(bench.rounds):
        bench.say(f"pinned: round {n + 1} of {bench.rounds}")
        with bench.server.fresh() as dsn:
            free = drained(bench, dsn, processes=1)
        with bench.server.fresh() as dsn, held(dsn, "reader", ""):
            rounds.append(Round(drained(bench, dsn, processes=1), free))
    yield compared(
        rounds,
        step="pinned",
        name=f"{bench.jobs:,} jobs, 1 process, a snapshot held open",
        unit="jobs/s",
        raw_name="without",
        least_ratio=0.9,
    )
