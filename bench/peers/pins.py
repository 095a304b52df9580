"""The drain, and a steady stream, while somebody holds an old snapshot."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from peers.ours import Ours, insert
from peers.results import Void
from peers.system import BATCH, System, enqueue, wait
from peers.tally import Counts, Tally
from peers.tasks import QUEUE
from peers.works import Run, check, finished, pinned_drain, tidy
from pgq_bench.figures import percentile
from pgq_bench.horizon import KINDS, held
from pgq_bench.raw import Pgbench
from pgq_bench.server import opened

OFFERED = 10_000
"""Jobs a second of the steady stream."""
OFFER = 100
SUSTAINED = 0.65
"""Pace of a long drain over that of a short one, about: for its size only."""
PROBED = 10
PROBE_INTERVAL = 0.02


def ours(run: Run, system: Ours, pgbench: Pgbench) -> None:
    """Each kind of pin over a drain and then a stream; the unpinned stream is what p99 is over."""
    unpinned: list[float] = []
    works = ["claim_p99_pinned"]
    with run.results.guard(system.name, *works):
        run.say("pgq: steady, unpinned")
        unpinned = _measure(run, system, None)
    p99: list[float] = []
    for kind in KINDS:
        with run.results.guard(system.name, f"pinned_{kind}", f"steady_{kind}"):
            p99.append(percentile(_measure(run, system, kind), 0.99))
    if unpinned and len(p99) == len(KINDS):
        ratio = max(p99) / percentile(unpinned, 0.99)
        run.results.add(system.name, "claim_p99_pinned", ratio, "ratio")
    else:
        run.results.void[system.name, "claim_p99_pinned"] = "one of the streams is void"


def rival(run: Run, system: System) -> None:
    """A rival's drain while an idle reader's snapshot is held."""
    work = "pinned_reader"
    with run.results.guard(system.name, work), system.database() as dsn:
        run.say(f"{system.title}: {work}")
        jobs = round(system.paces["pinned"] * run.sizes.rival_pinned)
        counts = run.counts(jobs)
        enqueue(system, dsn, jobs=jobs, batch=BATCH)
        with opened(dsn) as session:
            tidy(session)
            with system.working(dsn, 1, counts) as go, held(dsn, "reader", QUEUE):
                ratio = pinned_drain(run, system, session, counts, go, jobs)
                finished(system, session, counts)
            check(counts, system, session)
        run.results.add(system.name, work, ratio, "ratio")


def _measure(run: Run, system: Ours, kind: str | None) -> list[float]:
    seconds = run.sizes.pinned
    measured = run.results.value(system.name, "drain_1") or 0.0
    pace = max(measured, system.paces["drain_1"] * run.sizes.speed)
    drain = round(SUSTAINED * pace * seconds) if kind else 0
    stream = round(OFFERED * seconds)
    claimed = 1 if kind == "claimer" else 0
    counts = run.counts(drain + stream + claimed)
    with system.database() as dsn, opened(dsn) as session:
        session.execute("create table elsewhere (n integer)")
        insert(session, 0, claimed)
        with held(dsn, kind, QUEUE) if kind == "claimer" else _nothing():
            insert(session, claimed, drain)
            tidy(session)
            with (
                held(dsn, kind, QUEUE) if kind and kind != "claimer" else _nothing(),
                system.working(dsn, 1, counts) as go,
            ):
                if kind:
                    run.say(f"pgq: pinned_{kind}")
                    ratio = pinned_drain(run, system, session, counts, go, drain)
                    run.results.add(system.name, f"pinned_{kind}", ratio, "ratio")
                    run.say(f"pgq: steady_{kind}")
                else:
                    go()
                reached, claims = _stream(system, dsn, counts, claimed + drain, stream)
                finished(system, session, counts, but=claimed)
                if kind:
                    run.results.add(system.name, f"steady_{kind}", reached, "ratio")
        if claimed:
            with system.working(dsn, 1, counts) as go:
                go()
                finished(system, session, counts)
        check(counts, system, session)
    return claims


def _stream(
    system: Ours, dsn: str, counts: Counts, first: int, jobs: int
) -> tuple[float, list[float]]:
    """What of the offered jobs ran in a last fifth of the time; and how long claims took."""
    order = {
        "dsn": dsn,
        "first": first,
        "jobs": jobs,
        "batch": OFFER,
        "interval": OFFER / OFFERED,
    }
    offering = threading.Thread(target=system.makers, args=[[order], "offer"])
    samples: list[tuple[float, int]] = []
    with _probing(dsn, counts) as claims:
        before = counts.runs()
        offering.start()
        wait(lambda: counts.runs() > before, counts.runs, "the stream starts")
        begun = time.monotonic()
        seconds = jobs / OFFERED
        while (now := time.monotonic()) < begun + seconds:
            samples.append((now, counts.runs()))
            time.sleep(0.02)
        offering.join()
    # Short of the end, where the stream has stopped and the last jobs trickle in.
    begin, end = (
        next(sample for sample in samples if sample[0] >= begun + share * seconds)
        for share in (0.75, 0.95)
    )
    return (end[1] - begin[1]) / (end[0] - begin[0]) / OFFERED, claims


@contextmanager
def _probing(dsn: str, counts: Counts) -> Iterator[list[float]]:
    """Claims a few jobs now and then, as a worker of its own, and completes them."""
    took: list[float] = []
    stopped = threading.Event()
    failed: list[BaseException] = []

    def probe() -> None:
        tally = Tally(str(counts.folder), counts.jobs)
        try:
            with opened(dsn) as session:
                while not stopped.wait(PROBE_INTERVAL):
                    begun = time.monotonic()
                    rows = session.execute(
                        "select c.id, c.token, (c.payload ->> 'n')::bigint "
                        "from pgq.claim(p_worker => 0, p_executor => 0, p_token => %s, "
                        "p_queues => %s, p_limits => %s, p_lease => interval '1 min') c",
                        [uuid.uuid4(), [QUEUE], [PROBED]],
                    ).fetchall()
                    took.append(time.monotonic() - begun)
                    session.execute(
                        "select * from pgq.complete_many(p_ids => %s, p_tokens => %s)",
                        [[row[0] for row in rows], [row[1] for row in rows]],
                    )
                    for row in rows:
                        tally.ran(row[2])
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=probe)
    thread.start()
    try:
        yield took
    finally:
        stopped.set()
        thread.join()
    if failed:
        raise Void(f"the probe failed: {failed[0]}")


@contextmanager
def _nothing() -> Iterator[None]:
    yield


PARTS: dict[str, Callable[[Run, Ours, Pgbench], None]] = {"pins": ours}
