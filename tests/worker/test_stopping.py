"""A worker that is told to stop."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from support import Jobs, Ledger, Worker, is_alive, until

Start = Callable[..., Worker]


def test_running_jobs_may_end_within_the_grace_period(
    worker: Worker, jobs: Jobs, ledger: Ledger
) -> None:
    job = jobs.add("wait", '{"seconds": 1.5}')
    ledger.wait("begin", job)

    worker.terminate()

    assert worker.ended() == 0
    assert jobs.state(job) == "succeeded"


def test_stopping_worker_takes_no_more_jobs(worker: Worker, jobs: Jobs, ledger: Ledger) -> None:
    job = jobs.add("wait", '{"seconds": 1.5}')
    ledger.wait("begin", job)
    worker.terminate()
    until(lambda: jobs.one("select state from pgq.list_workers()") == "draining")

    late = jobs.add("echo")

    assert worker.ended() == 0
    assert jobs.state(late) == "ready"


@pytest.mark.parametrize("task", ["wait", "wait_in_thread", "spin"])
def test_job_that_does_not_end_in_time_is_given_back_uncharged(
    start: Start, jobs: Jobs, ledger: Ledger, task: str
) -> None:
    worker = start("--grace", "0.5")
    job = jobs.add(task)
    ledger.wait("begin", job)

    worker.terminate()

    assert worker.ended() == 0
    assert jobs.state(job) == "ready"
    assert jobs.attempts(job) == [("released", False)]
    assert not jobs.one("select suspect from pgq.get_job(%s)", job)


def test_jobs_that_had_not_begun_leave_no_attempt(start: Start, jobs: Jobs, ledger: Ledger) -> None:
    worker = start("-c", "1", "--grace", "0.5")
    ledger_job = jobs.add("wait")
    ledger.wait("begin", ledger_job)
    waiting = [jobs.add("echo") for _ in range(3)]

    worker.terminate()

    assert worker.ended() == 0
    assert [jobs.state(job) for job in waiting] == ["ready"] * 3
    assert [jobs.attempts(job) for job in waiting] == [[]] * 3


def test_second_signal_stops_it_now(start: Start, jobs: Jobs, ledger: Ledger) -> None:
    worker = start("--grace", "3600")
    job = jobs.add("wait")
    ledger.wait("begin", job)
    worker.terminate()
    until(lambda: worker.said("stopping"), "it has heard the first")

    worker.terminate()

    assert worker.ended() == 0
    assert jobs.state(job) == "ready"
    assert jobs.attempts(job) == [("released", False)]


def test_stopped_worker_is_offline_and_leaves_no_process(
    start: Start, jobs: Jobs, ledger: Ledger
) -> None:
    worker = start("--processes", "2")
    children = until(lambda: len(found := worker.children()) == 2 and found)
    jobs.result(jobs.add("echo"))
    assert children

    worker.terminate()

    assert worker.ended() == 0
    assert not any(map(is_alive, children))
    assert jobs.one("select state from pgq.list_workers()") == "offline"
