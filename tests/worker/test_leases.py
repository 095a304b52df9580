"""A worker keeps its leases, and lets go of what it cannot keep."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from pgq import schema
from pgq.postgres import Postgres
from support import Jobs, Ledger, Worker, until

Start = Callable[..., Worker]


def test_job_that_outlasts_many_leases_stays_its_workers(
    worker: Worker, jobs: Jobs, ledger: Ledger
) -> None:
    job = jobs.add("wait", '{"seconds": 5}')

    jobs.wait(job, "succeeded")

    assert ledger.count("begin", job) == 1


def test_heartbeat_goes_on_while_a_handler_holds_up_its_process(
    worker: Worker, jobs: Jobs, ledger: Ledger
) -> None:
    job = jobs.add("spin", timeout="5 s", max_attempts=1)

    jobs.wait(job, "dead")

    assert jobs.attempts(job) == [("timeout", True)]
    assert ledger.count("begin", job) == 1


def test_stopped_worker_that_goes_on_cannot_end_a_job_it_lost(
    start: Start, jobs: Jobs, ledger: Ledger
) -> None:
    late = start("--name", "late")
    job = jobs.add("wait", '{"seconds": 1}')
    ledger.wait("begin", job)
    late.signal_all(signal.SIGSTOP)

    start("--name", "other")
    jobs.wait(job, "succeeded")
    finished = jobs.all("select token, worker from pgq.finished where job_id = %s", job)
    late.signal_all(signal.SIGCONT)

    until(lambda: late.said("lease was lost") or late.said("has expired"), "the late worker hears")
    until(lambda: jobs.one("select count(*) from pgq.list_workers() where name = 'late'") == 2)
    assert jobs.all("select token, worker from pgq.finished where job_id = %s", job) == finished
    assert jobs.attempts(job) == [("lost", False)]


def test_expired_worker_registers_anew(worker: Worker, jobs: Jobs) -> None:
    first = until(lambda: jobs.one("select id from pgq.list_workers()"))
    jobs.result(jobs.add("echo"))

    jobs.one("select from pgq.heartbeat(%s, '{}', '{}', 0, 'offline')", first)

    assert jobs.result(jobs.add("echo", '{"value": 1}')) == 1
    assert jobs.one("select max(id) from pgq.list_workers()") > first


CUT = """
select count(pg_terminate_backend(pid))
from pg_stat_activity
where datname = current_database() and application_name ~ '^pgq (claims|completions)'
"""


def test_jobs_survive_sessions_that_are_cut_all_the_time(
    start: Start, jobs: Jobs, conn: psycopg.Connection[Any]
) -> None:
    start("--processes", "2")
    jobs.result(jobs.add("echo"))
    conn.execute("insert into pgq.job (task) select 'echo' from generate_series(1, 20000)")

    for done in range(0, 20_000, 2_000):
        until(lambda done=done: jobs.one("select count(*) > %s from pgq.finished", done))
        until(lambda: jobs.one(CUT), "there is a session to cut")

    until(lambda: jobs.one("select count(*) = 20001 from pgq.finished"), "all are done")
    assert jobs.one("select count(*) from pgq.attempt") == 0


class Restartable:
    """A server of the test's own, and a worker on it."""

    def __init__(self, server: Postgres, start: Start) -> None:
        self.server = server
        schema.migrate(server.dsn)
        self.session = self.connect()
        self.jobs = Jobs(self.session)
        self.session.execute(
            "select pgq.configure(p_lease => '3 s', p_heartbeat => '0.5 s', p_poll => '0.25 s')"
        )
        self.worker = start(url=server.dsn)

    def connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.server.dsn, autocommit=True)

    def restart(self) -> None:
        self.server.start()
        self.jobs = Jobs(self.connect())


@pytest.fixture
def restartable(private_server: Postgres, start: Start) -> Restartable:
    return Restartable(private_server, start)


def test_worker_that_cannot_heartbeat_stops_its_handlers(
    restartable: Restartable, ledger: Ledger
) -> None:
    job = restartable.jobs.add("wait", '{"seconds": 600}', timeout="20 min")
    ledger.wait("begin", job)

    restartable.server.stop()
    ledger.wait("cancelled", job)
    restartable.restart()

    ledger.wait("begin", job, times=2)
    assert [charged for _, charged in restartable.jobs.attempts(job)] == [False]


def test_worker_goes_on_after_the_database_was_away(restartable: Restartable) -> None:
    jobs = restartable.jobs
    assert jobs.result(jobs.add("echo", '{"value": 1}')) == 1

    restartable.server.stop()
    until(lambda: restartable.worker.said("no heartbeat"), "the worker notices")
    restartable.restart()

    jobs = restartable.jobs
    assert jobs.result(jobs.add("echo", '{"value": 2}')) == 2
    assert restartable.worker.process.poll() is None


def test_what_ended_while_the_database_took_no_writes_is_stored_when_it_does(
    restartable: Restartable, ledger: Ledger
) -> None:
    def take_writes(state: str) -> None:
        session = restartable.session
        session.execute(f"alter system set default_transaction_read_only = {state}".encode())
        session.execute("select pg_reload_conf()")

    job = restartable.jobs.add("wait", '{"seconds": 1}')
    ledger.wait("begin", job)

    take_writes("on")
    ledger.wait("end", job)
    until(lambda: restartable.worker.said("completions of"), "a completion is refused")
    take_writes("off")

    restartable.jobs.wait(job, "succeeded")
    assert ledger.count("begin", job) == 1


def test_worker_that_starts_before_the_database_waits_for_it(
    private_server: Postgres, start: Start
) -> None:
    schema.migrate(private_server.dsn)
    dsn = private_server.dsn
    private_server.stop()
    worker = start(url=dsn)
    until(lambda: worker.said("trying again"), "the worker says what it waits for")

    private_server.start()

    with psycopg.connect(private_server.dsn, autocommit=True) as session:
        jobs = Jobs(session)
        assert jobs.result(jobs.add("echo", '{"value": 1}')) == 1


def test_worker_of_which_only_a_child_was_stopped_keeps_its_jobs(
    worker: Worker, jobs: Jobs, ledger: Ledger
) -> None:
    job = jobs.add("wait", '{"seconds": 1}')
    ledger.wait("begin", job)
    [pid] = ledger.pids("begin", job)

    os.kill(pid, signal.SIGSTOP)
    beat = jobs.one("select max(heartbeat_at) from pgq.worker")
    until(
        lambda: jobs.one("select max(heartbeat_at) > %s + interval '5 s' from pgq.worker", beat),
        "heartbeats go on",
    )
    os.kill(pid, signal.SIGCONT)

    jobs.wait(job, "succeeded")
    assert ledger.count("begin", job) == 1


CLAIM_WAITS = """
select count(*)
from pg_stat_activity
where datname = current_database()
    and application_name ~ '^pgq claims'
    and wait_event_type = 'Lock'
"""


def test_claim_whose_answer_waits_for_a_busy_process_keeps_its_job(
    start: Start, jobs: Jobs, ledger: Ledger, dsn: str
) -> None:
    job = jobs.add("wait", '{"seconds": 0}')
    with psycopg.connect(dsn) as other:
        other.execute("lock table pgq.tally in exclusive mode")
        worker = start()
        until(lambda: jobs.one(CLAIM_WAITS), "a claim is under way")
        [child] = worker.children()
        os.kill(child, signal.SIGSTOP)

    until(lambda: jobs.one("select count(*) from pgq.long_lease"), "the lease is a long one")
    beat = jobs.one("select heartbeat_at from pgq.worker")
    until(
        lambda: jobs.one("select heartbeat_at > %s + interval '1.2 s' from pgq.worker", beat),
        "heartbeats go on",
    )
    assert jobs.state(job) == "running"

    os.kill(child, signal.SIGCONT)
    jobs.wait(job, "succeeded")
    assert ledger.count("begin", job) == 1
