"""Wake-ups, and their absence."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from support import Jobs, Ledger, Worker, until

Start = Callable[..., Worker]
LISTENER = (
    "select pid from pg_stat_activity where datname = current_database() "
    "and application_name ~ '^pgq listener'"
)


@pytest.fixture
def dead_end() -> Iterator[str]:
    """A database address at which nobody answers."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        yield f"postgresql://nobody@127.0.0.1:{reserved.getsockname()[1]}/nowhere"


def test_idle_worker_is_woken_rather_than_polling(
    start: Start, jobs: Jobs, conn: psycopg.Connection[Any]
) -> None:
    conn.execute("select pgq.configure(p_poll => '1 hour')")
    start()
    until(lambda: jobs.one(LISTENER), "it listens")
    until(lambda: jobs.one("select count(*) from pgq.waiter") == 1, "it waits")

    assert jobs.result(jobs.add("echo", '{"value": 1}')) == 1


def test_worker_that_registered_anew_is_woken(
    start: Start, jobs: Jobs, conn: psycopg.Connection[Any]
) -> None:
    conn.execute("select pgq.configure(p_poll => '1 hour')")
    start()
    first = until(lambda: jobs.one("select min(worker) from pgq.waiter"), "it waits")
    jobs.one("select from pgq.heartbeat(%s, '{}', '{}', 0, 'offline')", first)
    until(lambda: jobs.one("select max(worker) from pgq.waiter") > first, "it waits anew")

    assert jobs.result(jobs.add("echo", '{"value": 1}')) == 1


def test_worker_without_wake_ups_finds_jobs_by_polling(
    worker: Worker, jobs: Jobs, conn: psycopg.Connection[Any]
) -> None:
    until(lambda: jobs.one("select count(*) from pgq.waiter") == 1, "it waits")
    with conn.transaction():
        conn.execute("set local pgq.wake = 'off'")
        job = jobs.add("echo", '{"value": 1}')

    assert jobs.result(job) == 1


def test_worker_that_cannot_listen_goes_on_by_polling(
    start: Start, jobs: Jobs, dead_end: str
) -> None:
    worker = start(PGQ_LISTEN_URL=dead_end)
    until(lambda: worker.said("found by polling"), "it says so")

    assert jobs.result(jobs.add("echo", '{"value": 1}')) == 1


def test_listener_that_died_listens_again(
    worker: Worker, jobs: Jobs, conn: psycopg.Connection[Any]
) -> None:
    first = until(lambda: jobs.one(LISTENER), "it listens")

    conn.execute("select pg_terminate_backend(%s)", [first])

    until(lambda: jobs.one(LISTENER) not in (None, first), "it listens again")


def test_cancellation_is_heard_before_the_next_heartbeat(
    start: Start, jobs: Jobs, ledger: Ledger, conn: psycopg.Connection[Any]
) -> None:
    conn.execute("select pgq.configure(p_lease => '3 hours', p_heartbeat => '1 hour')")
    start()
    job = jobs.add("wait")
    ledger.wait("begin", job)
    until(lambda: jobs.one(LISTENER), "it listens")

    jobs.one("select pgq.cancel(%s)", job)

    jobs.wait(job, "cancelled")
