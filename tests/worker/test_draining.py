"""A worker that is asked to claim nothing more."""

from __future__ import annotations

from collections.abc import Callable

from races.test_mutants import Mutant
from support import Jobs, Ledger, Worker, until

Start = Callable[..., Worker]

CLAIMS_FOR_ALL = Mutant(
    "claims_for_all",
    lambda: None,
    "claim.sql",
    ((" and not exists (select from pgq.drain_request d where d.worker = p_worker)", ""),),
)


def only(jobs: Jobs) -> int:
    return int(until(lambda: jobs.one("select id from pgq.list_workers()")))


def state(jobs: Jobs, worker: int) -> str:
    """What the worker itself said at its last heartbeat."""
    return str(jobs.one("select state from pgq.worker where id = %s", worker))


def test_draining_worker_finishes_what_it_has_and_stays(
    worker: Worker, jobs: Jobs, ledger: Ledger
) -> None:
    job = jobs.add("wait", '{"seconds": 2}')
    ledger.wait("begin", job)
    jobs.one("select pgq.drain(%s)", only(jobs))
    until(lambda: state(jobs, only(jobs)) == "draining")

    late = jobs.add("echo")

    jobs.wait(job, "succeeded")
    assert jobs.state(late) == "ready"
    assert worker.process.poll() is None
    jobs.one("select pgq.drain(%s, false)", only(jobs))
    jobs.wait(late, "succeeded")
    until(lambda: state(jobs, only(jobs)) == "available")


def test_worker_stops_claiming_by_itself(start: Start, jobs: Jobs, dsn: str) -> None:
    """Whatever the database would give it."""
    CLAIMS_FOR_ALL.install(dsn)
    start()
    first = only(jobs)
    jobs.one("select pgq.drain(%s)", first)
    until(lambda: state(jobs, first) == "draining")
    start()
    second = until(lambda: jobs.one("select id from pgq.list_workers() where id > %s", first))

    added = [jobs.add("echo") for _ in range(20)]

    for job in added:
        jobs.wait(job, "succeeded")
    assert {jobs.one("select worker from pgq.get_job(%s)", job) for job in added} == {second}


def test_draining_worker_that_is_told_to_stop_stops(worker: Worker, jobs: Jobs) -> None:
    jobs.one("select pgq.drain(%s)", only(jobs))
    until(lambda: state(jobs, only(jobs)) == "draining")

    worker.terminate()

    assert worker.ended() == 0
    assert state(jobs, only(jobs)) == "offline"
