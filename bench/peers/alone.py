"""What is measured of ours alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from statistics import median

from peers.limits import copy_rate
from peers.ours import Ours, insert, release
from peers.results import Void
from peers.system import wait
from peers.tally import Counts
from peers.tasks import QUEUE
from peers.works import Run, check, drained, finished
from peers.works import tidy as tidy_all
from pgq_bench.raw import Pgbench
from pgq_bench.server import Session, opened, tidy, value

MIXED_QUEUES = [f"mixed_{n}" for n in range(10)]
MIXED = """
insert into pgq.job (task, payload, queue, priority, run_at)
select
    case when i %% 20 = 0 then 'fails_once' else 'noop' end,
    json_build_object('n', i, 'text', repeat('x', 170)),
    'mixed_' || i %% 10,
    3 + (i / 10) %% 4,
    case when i %% 20 = 7 then clock_timestamp() + random() * %s * interval '1 s' else now() end
from generate_series(0, %s - 1) i
"""
MIXED_PAIRS = 3
MOST = 0.95
"""Share of a mixed workload after which its clock stops: the last retries wait for their time."""

CONNECTIONS = (16, 64, 256)
RAMP = 3.0
"""Seconds until all have made their plans."""
MOST_CLAIMED = 100_000
"""Jobs a second that a backlog lasts for."""
CLAIMED = 25
CLAIM_AND_COMPLETE = f"""
select
    coalesce(array_agg(c.id), '{{}}')::text as ids,
    coalesce(array_agg(c.token), '{{}}')::text as tokens,
    coalesce(sum(length(c.payload::text)), 0) as bytes
from pgq.claim(
    p_worker => 0, p_executor => 0, p_token => gen_random_uuid(),
    p_queues => array['{QUEUE}'], p_limits => array[{CLAIMED}], p_lease => interval '5 min'
) c \\gset
select count(*) from pgq.complete_many(
    p_ids => cast(cast(:ids as text) as bigint[]),
    p_tokens => cast(cast(:tokens as text) as uuid[])
);
"""

SMALL = 20_000
ROUNDS = 5


def enqueue_copy(run: Run, ours: Ours, pgbench: Pgbench) -> None:
    """One COPY into the public table."""
    with run.results.guard(ours.name, "enqueue_copy"), ours.database() as dsn:
        run.say("pgq: enqueue_copy")
        counts = run.counts(round(100_000 * run.sizes.seconds))
        rate = copy_rate(dsn, "copy pgq.job (task, queue, payload) from stdin", counts.jobs)
        drained(ours, dsn, counts, 4)
        run.results.add(ours.name, "enqueue_copy", rate, "jobs/s")


def drain_sync(run: Run, ours: Ours, pgbench: Pgbench) -> None:
    """Sync handlers, which run in threads."""
    with run.results.guard(ours.name, "drain_1_sync"), ours.database() as dsn:
        run.say("pgq: drain_1_sync")
        counts = run.counts(run.sizes.jobs(ours.paces["drain_1"] // 3))
        with opened(dsn) as session:
            insert(session, 0, counts.jobs, task="noop_sync")
        run.results.add(ours.name, "drain_1_sync", drained(ours, dsn, counts, 1), "jobs/s")


def mixed(run: Run, ours: Ours, pgbench: Pgbench) -> None:
    """Failures, delays, priorities and queues, over the same without them."""
    with run.results.guard(ours.name, "mixed"):
        ratios = []
        for n in range(MIXED_PAIRS):
            run.say(f"pgq: mixed, pair {n + 1} of {MIXED_PAIRS}")
            plain, varied = (_rate_of_most(run, ours, is_mixed) for is_mixed in (False, True))
            ratios.append(varied / plain)
        run.results.add(ours.name, "mixed", median(ratios), "ratio")


def _rate_of_most(run: Run, ours: Ours, is_mixed: bool) -> float:
    counts = run.counts(run.sizes.jobs(ours.paces["drain_1"], least=1_000))
    most = round(counts.jobs * MOST)
    with ours.database() as dsn, opened(dsn) as session:
        if is_mixed:
            session.execute(MIXED, [run.sizes.seconds, counts.jobs])
        else:
            insert(session, 0, counts.jobs)
        tidy_all(session)
        queues = MIXED_QUEUES if is_mixed else [QUEUE]
        with ours.working(dsn, 1, counts, queues=queues) as go:
            begun = go()
            wait(lambda: counts.runs() >= most, counts.runs, "mixed")
            ended = time.monotonic()
            finished(ours, session, counts)
        check(counts, ours, session)
    return most / (ended - begun)


def connections(run: Run, ours: Ours, pgbench: Pgbench) -> None:
    """Claims and completions by pgbench from many connections to one queue."""
    with run.results.guard(ours.name, "connections_256"):
        rates = []
        for clients in CONNECTIONS:
            rates.append(_by_connections(run, ours, pgbench, clients))
            run.say(f"pgq: {clients} connections: {rates[-1]:,.0f} jobs/s")
        run.results.add(ours.name, "connections_256", rates[-1] / max(rates), "ratio")


def _by_connections(run: Run, ours: Ours, pgbench: Pgbench, clients: int) -> float:
    seconds = RAMP + run.sizes.seconds
    jobs = round(MOST_CLAIMED * (seconds + 1))
    with ours.database() as dsn, opened(dsn) as session:
        insert(session, 0, jobs)
        tidy_all(session)
        samples: list[tuple[float, int]] = []

        def sample() -> int:
            done = int(value(session, "select count(*) from pgq.finished"))
            samples.append((time.monotonic(), done))
            return done

        with _ticking(dsn), ThreadPoolExecutor() as pool:
            running = pool.submit(
                pgbench.rate, dsn, CLAIM_AND_COMPLETE, clients=clients, seconds=seconds + 1
            )
            wait(lambda: sample() > 0, lambda: running.done(), "connections")
            time.sleep(RAMP)
            sample()
            time.sleep(run.sizes.seconds)
            sample()
            running.result()
        sample()
        if samples[-1][1] + ours.unfinished(session) != jobs:
            raise Void(f"{jobs:,} jobs entered, not all of them done or left")
        if samples[-1][1] == jobs:
            raise Void(f"{jobs:,} jobs were too few for {clients} connections")
    (since, had), (until, has) = samples[-3:-1]
    return (has - had) / (until - since)


def backlog(run: Run, ours: Ours, pgbench: Pgbench) -> None:
    """20,000 jobs from a long backlog, over the same from none; alternately."""
    with (
        run.results.guard(ours.name, "backlog"),
        ours.database() as short,
        ours.database() as long,
        opened(short) as few,
        opened(long) as many,
    ):
        run.say(f"pgq: a backlog of {run.sizes.backlog:,}")
        small = run.counts(SMALL * (ROUNDS + 1))
        large = run.counts(run.sizes.backlog + SMALL * (ROUNDS + 1))
        insert(many, SMALL * (ROUNDS + 1), run.sizes.backlog)
        tidy_all(many)
        ratios = []
        with ours.working(short, 1, small), ours.working(long, 1, large):
            for n in range(ROUNDS + 1):
                took = []
                for session, counts in ((few, small), (many, large)):
                    insert(session, n * SMALL, SMALL)
                    tidy(session, "pgq.ready", "pgq.lease")
                    took.append(_taken(session, counts))
                ratios.append(took[0] / took[1])
        finished(ours, few, small)
        check(small, ours, few)
        if problem := large.problem(all_ran=False):
            raise Void(problem)
        if large.runs() + ours.unfinished(many) != large.jobs:
            raise Void("jobs of the long backlog are missing")
        for ratio in ratios[1:]:  # the first warms up
            run.results.add(ours.name, "backlog", ratio, "ratio")


def _taken(session: Session, counts: Counts) -> float:
    before = counts.runs()
    begun = release(session)
    wait(lambda: counts.runs() >= before + SMALL, counts.runs, "backlog")
    took = time.monotonic() - begun
    session.execute("select pgq.pause(p_queue => %s)", [QUEUE])
    wait(
        lambda: int(value(session, "select count(*) from pgq.lease")) == 0,
        counts.runs,
        "backlog, leases",
    )
    return took


@contextmanager
def _ticking(dsn: str) -> Iterator[None]:
    stopped = threading.Event()

    def tick() -> None:
        with opened(dsn) as session:
            while not stopped.wait(1):
                session.execute("call pgq.tick()")

    thread = threading.Thread(target=tick)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


PARTS: dict[str, Callable[[Run, Ours, Pgbench], None]] = {
    "enqueue_copy": enqueue_copy,
    "drain_1_sync": drain_sync,
    "mixed": mixed,
    "connections": connections,
    "backlog": backlog,
}
