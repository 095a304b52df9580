"""Children that die, and whom that costs what."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest

from support import Jobs, Ledger, Worker, is_alive, until

Start = Callable[..., Worker]


def test_job_whose_process_was_killed_finishes_elsewhere_uncharged(
    worker: Worker, jobs: Jobs, ledger: Ledger
) -> None:
    job = jobs.add("wait", '{"seconds": 1}')
    ledger.wait("begin", job)

    os.kill(ledger.pids("begin", job)[0], signal.SIGKILL)

    jobs.wait(job, "succeeded")
    assert jobs.attempts(job) == [("crashed", False)]
    assert len(set(ledger.pids("begin", job))) == 2


def test_job_that_had_not_begun_goes_back_as_it_was(
    start: Start, jobs: Jobs, ledger: Ledger
) -> None:
    start("-c", "1")
    job = jobs.add("wait", '{"seconds": 1}')
    ledger.wait("begin", job)
    waiting = [jobs.add("echo") for _ in range(3)]

    os.kill(ledger.pids("begin", job)[0], signal.SIGKILL)

    for other in waiting:
        jobs.wait(other, "succeeded")
        assert jobs.attempts(other) == []
    assert not jobs.one("select bool_or(suspect) from pgq.job_status where id = any (%s)", waiting)


def test_job_that_kills_its_process_is_dead_after_three_crashes_alone(
    worker: Worker, jobs: Jobs
) -> None:
    job = jobs.add("die")

    jobs.wait(job, "dead")

    assert jobs.one("select reason from pgq.get_job(%s)", job) == "crashed"
    assert jobs.attempts(job) == [("crashed", False)] + [("crashed", True)] * 3


def test_innocent_beside_a_job_that_kills_its_process_is_not_charged(
    worker: Worker, jobs: Jobs, ledger: Ledger
) -> None:
    innocent = jobs.add("wait", '{"seconds": 1.5}')
    ledger.wait("begin", innocent)
    guilty = [jobs.add("die") for _ in range(3)]

    for job in guilty:
        jobs.wait(job, "dead")
    jobs.wait(innocent, "succeeded")

    assert jobs.one("select crashes from pgq.get_job(%s)", innocent) == 0


def test_suspects_that_ended_in_a_process_are_not_charged_for_the_next_one(
    start: Start, jobs: Jobs
) -> None:
    """A solo process takes the next suspect only when what the last came to is stored."""
    pairs = [(jobs.add("fail", max_attempts=1), jobs.add("die")) for _ in range(8)]
    start()

    for innocent, guilty in pairs:
        jobs.wait(innocent, "dead")
        jobs.wait(guilty, "dead")

    attempts = [attempt for innocent, _ in pairs for attempt in jobs.attempts(innocent)]
    assert ("crashed", False) in attempts
    assert ("crashed", True) not in attempts


def test_at_most_so_many_suspects_run_at_once_as_the_setting_allows(
    worker: Worker, jobs: Jobs, ledger: Ledger
) -> None:
    some = [jobs.add("wait", '{"seconds": 2}') for _ in range(6)]
    ledger.wait("begin", times=6)
    os.kill(ledger.pids("begin")[0], signal.SIGKILL)

    most = 0
    while ledger.count("end") < 6:
        most = max(most, jobs.one("select count(*) from pgq.lease where suspect"))
    for job in some:
        jobs.wait(job, "succeeded")

    assert most == 2


def test_worker_goes_on_when_all_its_children_are_killed(
    start: Start, jobs: Jobs, ledger: Ledger
) -> None:
    worker = start("--processes", "2")
    children = until(lambda: len(found := worker.children()) == 2 and found)
    assert children

    for pid in children:
        os.kill(pid, signal.SIGKILL)

    assert jobs.result(jobs.add("echo", '{"value": 1}')) == 1
    assert worker.process.poll() is None


def test_children_end_with_their_supervisor(start: Start, jobs: Jobs, ledger: Ledger) -> None:
    worker = start("--processes", "2")
    jobs.add("spin")
    ledger.wait("begin")
    children = until(lambda: len(found := worker.children()) == 2 and found)
    assert children

    worker.process.kill()

    until(lambda: not any(map(is_alive, children)), "the children are gone")


@pytest.mark.parametrize("stuck", ["spin", "wait"])
def test_jobs_of_a_killed_worker_run_on_another(
    start: Start, jobs: Jobs, ledger: Ledger, stuck: str
) -> None:
    first = start("--name", "first")
    job = jobs.add(stuck, timeout="30 s")
    ledger.wait("begin", job)

    os.killpg(first.pid, signal.SIGKILL)
    start("--name", "second")

    ledger.wait("begin", job, times=2)
    assert jobs.attempts(job) == [("lost", False)]
