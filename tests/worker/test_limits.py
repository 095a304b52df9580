"""How many jobs run at once."""

from __future__ import annotations

from collections.abc import Callable

from support import Jobs, Ledger, Worker

Start = Callable[..., Worker]


def most_at_once(ledger: Ledger) -> int:
    """Of the handlers that noted their begin and end, the most that ran at the same time."""
    most = now = 0
    for line in ledger.path.read_text().splitlines():
        now += {"begin": 1, "end": -1}[line.split()[0]]
        most = max(most, now)
    return most


def test_queue_runs_no_more_than_its_number_over_all_processes(
    start: Start, jobs: Jobs, ledger: Ledger
) -> None:
    start("-q", "mail=3,default", "--processes", "2")
    some = [jobs.add("wait", '{"seconds": 0.2}', queue="mail") for _ in range(12)]

    for job in some:
        jobs.wait(job, "succeeded")

    assert most_at_once(ledger) == 3
    assert len(set(ledger.pids("begin"))) == 2


def test_process_runs_no_more_than_its_concurrency(
    start: Start, jobs: Jobs, ledger: Ledger
) -> None:
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
    jobs.all("insert into pgq.job (task) select 'echo' from generate_series(1, 3000) returning id")
    slow = jobs.add("wait")
    ids = jobs.all(
        "insert into pgq.job (task) select 'echo' from generate_series(1, 300) returning id"
    )
    ledger.wait("begin", slow)

    start("--name", "second")

    for (job,) in ids:
        jobs.wait(job, "succeeded")
    assert jobs.state(slow) == "running"


def test_context_variables_of_one_job_are_not_seen_by_the_next(start: Start, jobs: Jobs) -> None:
    some = [jobs.add("leave_something_behind") for _ in range(10)]
    start("-c", "1")

    assert [jobs.result(job) for job in some] == ["nothing"] * 10


def test_sync_handlers_run_beside_each_other(start: Start, jobs: Jobs, ledger: Ledger) -> None:
    start("-c", "4")
    some = [jobs.add("wait_in_thread", '{"seconds": 1}') for _ in range(4)]

    for job in some:
        jobs.wait(job, "succeeded")

    assert most_at_once(ledger) == 4
