"""The measurements that every system goes through."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from peers.cluster import Cost
from peers.pace import Pace
from peers.processes import Memory
from peers.results import Results, Void
from peers.system import BATCH, Go, System, enqueue, wait
from peers.tally import Counts
from pgq_bench.figures import percentile
from pgq_bench.server import Session, opened

WARM_UP = 20
"""Jobs of the latency measurement that are not counted."""
SETTLED = 1.5
"""Seconds after which a worker that was told to start is surely idle."""


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How much of everything. Seconds are a plan; sizes follow from each system's expected pace."""

    seconds: float
    rounds: int
    latencies: int
    pinned: float
    rival_pinned: float
    backlog: int
    slowest_payload: int
    """Who drains fewer jobs a second is not asked about large payloads."""
    speed: float = 1.0
    """Of this machine, over the one on which the paces were seen."""

    def jobs(self, pace: int, *, least: int = 200) -> int:
        """Jobs that take so long at that pace."""
        return max(least, round(pace * self.seconds * self.speed))


@dataclass(frozen=True)
class Run:
    """What every measurement is given."""

    sizes: Sizes
    results: Results
    folder: Path
    say: Callable[[str], None]
    _numbers: count[int]

    def counts(self, jobs: int) -> Counts:
        """A new tally for jobs 0 … jobs - 1."""
        return Counts(self.folder / str(next(self._numbers)), jobs)


def check(counts: Counts, system: System, session: Session) -> None:
    """Raises `Void` unless each job ran exactly once and the database agrees."""
    if problem := counts.problem():
        raise Void(problem)
    if left := system.unfinished(session):
        raise Void(f"{left:,} jobs ran but are not done in the database")


def finished(system: System, session: Session, counts: Counts, *, but: int = 0) -> float:
    """Wait until all jobs but so many have run and are done; when that was."""
    wait(lambda: counts.runs() >= counts.jobs - but, counts.runs, system.name)
    wait(
        lambda: system.unfinished(session) <= but,
        lambda: system.unfinished(session),
        f"{system.name}, completions",
    )
    return time.monotonic()


def tidy(session: Session) -> None:
    """Vacuum and analyse everything, so that nobody starts with plans for empty tables."""
    session.execute("vacuum (analyze)")


def drained(
    system: System,
    dsn: str,
    counts: Counts,
    processes: int,
    memory: Memory | None = None,
) -> float:
    """Jobs a second of a backlog, from the word to the last completion that is committed."""
    with opened(dsn) as session:
        tidy(session)
        with system.working(dsn, processes, counts) as go:
            begun = go()
            if memory:
                memory.watch(counts)
            ended = finished(system, session, counts)
            if memory:
                memory.stop()
        check(counts, system, session)
    return counts.jobs / (ended - begun)


def enqueueing(run: Run, system: System) -> None:
    """One by one by 1 and by 16 clients, and in batches; all of it is run afterwards."""
    sizes = {
        "enqueue_1": run.sizes.jobs(system.paces["enqueue_1"]),
        "enqueue_16": run.sizes.jobs(system.paces["enqueue_16"]),
        "enqueue_batch": max(BATCH, run.sizes.jobs(system.paces["batch"]) // BATCH * BATCH),
    }
    if system.same_client_as and run.results.copy(system.same_client_as, system.name, sizes):
        return
    with run.results.guard(system.name, *sizes), system.database() as dsn:
        counts = run.counts(sum(sizes.values()))
        first = 0
        for work, clients, processes, batch in (
            ("enqueue_1", 1, 1, 1),
            ("enqueue_16", 16, 4, 1),
            ("enqueue_batch", 1, 1, BATCH),
        ):
            run.say(f"{system.title}: {work}")
            rate = enqueue(
                system,
                dsn,
                first=first,
                jobs=sizes[work],
                clients=clients,
                processes=processes,
                batch=batch,
            )
            run.results.add(system.name, work, rate, "jobs/s")
            first += sizes[work]
        with opened(dsn) as session:
            if system.kept(session) != counts.jobs:
                raise Void(f"{counts.jobs:,} jobs enqueued, {system.kept(session):,} found")
        drained(system, dsn, counts, 4)


def draining(run: Run, system: System, processes: int) -> None:
    """A backlog that stands when the workers start."""
    work = f"drain_{processes}"
    extra = ["wal_per_job", "db_time_per_job", "memory"] if processes == 1 else []
    with run.results.guard(system.name, work, *extra), system.database() as dsn:
        run.say(f"{system.title}: {work}")
        counts = run.counts(run.sizes.jobs(system.paces[work]))
        cost, memory = Cost(dsn), Memory()
        enqueue(system, dsn, jobs=counts.jobs, batch=BATCH)
        rate = drained(system, dsn, counts, processes, memory)
        run.results.add(system.name, work, rate, "jobs/s")
        if processes == 1:
            time.sleep(0.5)
            seconds, wal = cost.since()
            run.results.add(system.name, "wal_per_job", wal / counts.jobs, "bytes")
            if seconds:
                micros = seconds / counts.jobs * 1e6
                run.results.add(system.name, "db_time_per_job", micros, "µs")
            run.results.add(system.name, "memory", memory.peak, "MB")


def latency(run: Run, system: System) -> None:
    """From before a job is made to the start of its handler, in a worker with nothing to do."""
    works = ("latency_p50", "latency_p99")
    with run.results.guard(system.name, *works), system.database() as dsn:
        run.say(f"{system.title}: latency")
        counts = run.counts(run.sizes.latencies + WARM_UP)
        with opened(dsn) as session, system.working(dsn, 1, counts) as go:
            go()
            time.sleep(SETTLED)
            system.makers([{"dsn": dsn, "jobs": counts.jobs, "interval": 0.03}], "send")
            finished(system, session, counts)
            check(counts, system, session)
        waits = counts.waits()[WARM_UP:]
        for work, share in zip(works, (0.5, 0.99), strict=True):
            run.results.add(system.name, work, 1000 * percentile(waits, share), "ms")


def payload(run: Run, system: System, kilobytes: int) -> None:
    """A drain of jobs whose payload is large, and decoded."""
    work = f"payload_{kilobytes}k"
    if system.paces["drain_1"] < run.sizes.slowest_payload:
        return
    with run.results.guard(system.name, work), system.database() as dsn:
        run.say(f"{system.title}: {work}")
        megabytes = 60 * run.sizes.seconds
        jobs = round(min(megabytes * 1000 / kilobytes, run.sizes.jobs(system.paces["drain_1"])))
        counts = run.counts(jobs)
        enqueue(system, dsn, jobs=jobs, batch=max(1, BATCH // kilobytes), size=kilobytes * 1000)
        run.results.add(system.name, work, drained(system, dsn, counts, 1), "jobs/s")


def pinned_drain(
    run: Run, system: System, session: Session, counts: Counts, go: Go, jobs: int
) -> float:
    """Rate of the last fifth of a drain over that of the first, of `jobs` jobs, each over the pace
    of the machine at the time."""
    samples: list[tuple[float, int]] = []
    pace = Pace()
    go()
    begun = counts.runs()

    def sample() -> int:
        pace.look()
        runs = counts.runs() - begun
        samples.append((time.monotonic(), runs))
        return runs

    wait(lambda: sample() >= jobs, counts.runs, f"{system.name}, pinned")
    first, last = (
        _window(samples, pace, round(jobs * begin), round(jobs * (begin + 0.2)))
        for begin in (0.02, 0.79)
    )
    run.say(
        f"{first.rate:,.0f}/s in the first fifth, {last.rate:,.0f}/s in the last, "
        f"when the machine took {last.cost / first.cost:.3f} of the time for the same work"
    )
    return last.rate * last.cost / (first.rate * first.cost)


@dataclass(frozen=True)
class _Window:
    """A part of a drain."""

    rate: float
    cost: float


def _window(samples: list[tuple[float, int]], pace: Pace, begin: int, end: int) -> _Window:
    (since, had), (until, has) = (
        next(sample for sample in samples if sample[1] >= runs) for runs in (begin, end)
    )
    seconds = max(1e-9, until - since)
    return _Window(rate=(has - had) / seconds, cost=pace.cost(since, until))
