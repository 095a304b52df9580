"""How many jobs run at once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from support import Jobs, Ledger, Worker

Start = Callable[..., Worker]


def most_at_once(ledger: Ledger) -> int:
    """Of the handlers that noted their begin and end, the most that ran at the same time."""
    most = now = 0
    for line in ledger.path.read_text().splitlines():
        now += {"begin": 1, "end": -1}[line.split()[0]]
        most = max(most, now)
    return most


def add_quick(jobs: Jobs, task: str, queue: str = "default") -> list[int]:
    """Add so many quick jobs that a worker claims far ahead."""
    query = (
        "insert into pgq.job (task, queue) select %s, %s from generate_series(1, 3000) returning id"
    )
    return [row[0] for row in jobs.all(query, task, queue)]


def test_queue_runs_no_more_than_its_number_over_all_processes(
    start: Start, jobs: Jobs, ledger: Ledger
) -> None:
    add_quick(jobs, "echo", "mail")
    start("-q", "mail=3,default", "--processes", "2")
    some = [jobs.add("wait", '{"seconds": 0.2}', queue="mail") for _ in range(12)]

    for job in some:
        jobs.wait(job, "succeeded")

    assert most_at_once(ledger) <= 3


def test_process_runs_no_more_than_its_concurrency(
    start: Start, jobs: Jobs, ledger: Ledger
) -> None:
    add_quick(jobs, "echo", "a")
    start("-q", "a,b", "-c", "2")
    some = [jobs.add("wait", '{"seconds": 0.1}', queue=queue) for queue in "ab" * 5]

    for job in some:
        jobs.wait(job, "succeeded")

    assert most_at_once(ledger) == 2


def test_full_queue_does_not_keep_another_from_running(
    start: Start, jobs: Jobs, ledger: Ledger
) -> None:
    start("-q", "slow=1,quick")
    for _ in range(5):
        jobs.add("wait", queue="slow")
    ledger.wait("begin")

    assert jobs.result(jobs.add("echo", '{"value": 1}', queue="quick")) == 1


def test_jobs_claimed_ahead_of_a_long_one_are_given_to_others(
    start: Start, jobs: Jobs, ledger: Ledger
) -> None:
    """The first worker claims ahead at the rate of the quick jobs, then a slow one holds it up."""
    start("-c", "1", "--name", "first")
    add_quick(jobs, "echo")
    slow = jobs.add("wait")
    ids = jobs.all(
        "insert into pgq.job (task) select 'echo' from generate_series(1, 300) returning id"
    )
    ledger.wait("begin", slow)

    start("--name", "second")

    for (job,) in ids:
        jobs.wait(job, "succeeded")
    assert jobs.state(slow) == "running"


@pytest.mark.parametrize("task", ["leave_something_behind", "leave_something_behind_in_thread"])
def test_context_variables_of_one_job_are_not_seen_by_the_next(
    start: Start, jobs: Jobs, task: str
) -> None:
    ids = add_quick(jobs, task)
    start("-c", "4")
    jobs.wait(ids[-1], "succeeded")

    found = jobs.all("select distinct result::text from pgq.finished")
    assert found == [('"nothing"',)]


def test_sync_handlers_run_beside_each_other(start: Start, jobs: Jobs, ledger: Ledger) -> None:
    start("-c", "4")
    some = [jobs.add("wait_in_thread", '{"seconds": 1}') for _ in range(4)]

    for job in some:
        jobs.wait(job, "succeeded")

    assert most_at_once(ledger) == 4
