"""What becomes of jobs that a worker runs."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest

from support import Jobs, Ledger, Worker, is_alive, until

Start = Callable[..., Worker]
pytestmark = pytest.mark.usefixtures("worker")


def test_bare_insert_runs(jobs: Jobs, conn: psycopg.Connection[object]) -> None:
    conn.execute("insert into pgq.job (task) values ('echo')")

    job = jobs.one("select id from pgq.list_jobs()")

    assert jobs.wait(job, "succeeded")


def test_upkeep_of_a_worker_does_operations(jobs: Jobs, conn: psycopg.Connection[object]) -> None:
    job = jobs.one("insert into pgq.job (task, run_at) values ('echo', '2999-01-01') returning id")

    conn.execute("select pgq.start_operation(p_verb => 'run_now', p_state => 'scheduled')")

    assert jobs.wait(job, "succeeded")


@pytest.mark.parametrize("task", ["echo", "echo_in_thread"])
def test_result_is_stored(jobs: Jobs, task: str) -> None:
    job = jobs.add(task, '{"value": {"text": "é \\" \\\\ }", "list": [1, null]}}')

    assert jobs.result(job) == {"text": 'é " \\ }', "list": [1, None]}


@pytest.mark.parametrize(
    ("task", "lines"),
    [
        (
            "talk",
            [
                ("warning", "from the context", None),
                ("info", "a quarter", 0.25),
                ("info", "from logging", None),
            ],
        ),
        (
            "talk_in_thread",
            [("info", "from the context", None), ("error", "from logging", None)],
        ),
    ],
)
def test_lines_of_a_handler_are_in_the_jobs_log(
    jobs: Jobs, task: str, lines: list[tuple[str, str, float | None]]
) -> None:
    job = jobs.add(task)
    jobs.wait(job, "succeeded")

    assert jobs.all("select level, message, progress from pgq.list_logs(%s)", job) == lines


def test_unknown_task_is_put_back_uncharged(jobs: Jobs) -> None:
    job = jobs.add("nobody_knows")

    jobs.wait(job, "scheduled")

    assert jobs.attempts(job) == []
    assert jobs.one("select attempt from pgq.get_job(%s)", job) == 0


@pytest.mark.parametrize(
    "payload",
    ["[" + "1" * 5000 + "]", "[" * 2000 + "]" * 2000, '{"no_such_argument": 1}'],
    ids=["long number", "deep nesting", "wrong argument"],
)
def test_payload_that_cannot_be_read_fails_alone(jobs: Jobs, payload: str) -> None:
    good = [jobs.add("echo") for _ in range(5)]
    bad = jobs.add("echo", payload)
    good += [jobs.add("echo") for _ in range(5)]

    jobs.wait(bad, "dead")
    for job in good:
        jobs.wait(job, "succeeded")
    assert jobs.attempts(bad) == [("error", True)]


@pytest.mark.parametrize("task", ["unserializable", "fail_for_good"])
def test_failure_that_cannot_be_mended_is_not_retried(jobs: Jobs, task: str) -> None:
    job = jobs.add(task)

    jobs.wait(job, "dead")

    assert jobs.attempts(job) == [("error", True)]


def test_result_over_the_limit_fails_with_a_clear_message(
    jobs: Jobs, conn: psycopg.Connection[object]
) -> None:
    conn.execute("select pgq.configure(p_result_limit => 1000)")
    job = jobs.add("echo", f'{{"value": "{"x" * 2000}"}}')

    jobs.wait(job, "dead")

    assert "2002 bytes" in jobs.one("select message from pgq.get_job(%s)", job)


@pytest.mark.parametrize("task", ["fail", "leave", "stop_iteration"])
def test_failure_is_retried_until_the_last_attempt(jobs: Jobs, task: str) -> None:
    job = jobs.add(task, max_attempts=3)

    jobs.wait(job, "dead")

    assert jobs.attempts(job) == [("error", True)] * 3


def test_error_message_that_postgres_cannot_store_is_stored_without_what_it_cannot(
    jobs: Jobs,
) -> None:
    job = jobs.add("fail", '{"message": "before\\u0000after"}', max_attempts=1)

    jobs.wait(job, "dead")

    assert jobs.one("select message from pgq.get_job(%s)", job) == "before�after"


@pytest.mark.parametrize(
    ("kind", "state", "attempt"),
    [("retry", "retrying", 1), ("snooze", "scheduled", 0), ("cancel", "cancelled", 1)],
)
def test_answer_is_obeyed(jobs: Jobs, kind: str, state: str, attempt: int) -> None:
    job = jobs.add("answer", f'{{"kind": "{kind}"}}')

    jobs.wait(job, state)

    assert jobs.one("select attempt from pgq.get_job(%s)", job) == attempt


def test_async_handler_is_cancelled_at_its_timeout(jobs: Jobs, ledger: Ledger) -> None:
    job = jobs.add("wait", timeout="0.3 s", max_attempts=1)

    jobs.wait(job, "dead")

    assert ledger.count("cancelled", job) == 1
    assert jobs.attempts(job) == [("timeout", True)]


def test_sync_handler_that_looks_is_told_of_its_timeout(
    jobs: Jobs, ledger: Ledger, worker: Worker
) -> None:
    job = jobs.add("wait_in_thread", timeout="0.3 s", max_attempts=1)
    children = until(worker.children)

    jobs.wait(job, "dead")

    assert ledger.count("cancelled", job) == 1
    assert jobs.attempts(job) == [("timeout", True)]
    assert worker.children() == children


@pytest.mark.parametrize("task", ["spin", "ignore_cancellation"])
def test_handler_that_ignores_its_timeout_is_ended(jobs: Jobs, ledger: Ledger, task: str) -> None:
    job = jobs.add(task, timeout="0.3 s", max_attempts=1)

    jobs.wait(job, "dead")

    assert jobs.attempts(job) == [("timeout", True)]
    [pid] = ledger.pids("begin", job)
    other = jobs.add("echo")
    jobs.wait(other, "succeeded")
    until(lambda: not is_alive(pid), "the process that ignored it is gone")


def test_jobs_beside_one_that_ignores_its_timeout_are_not_charged(
    jobs: Jobs, ledger: Ledger
) -> None:
    beside = jobs.add("wait", '{"seconds": 2.5}')
    ledger.wait("begin", beside)
    jobs.add("spin", timeout="0.3 s", max_attempts=1)

    jobs.wait(beside, "succeeded")

    assert [charged for _, charged in jobs.attempts(beside)] == [False]
    assert jobs.one("select crashes from pgq.get_job(%s)", beside) == 0


@pytest.mark.parametrize("task", ["wait", "wait_in_thread"])
def test_running_job_is_cancelled_on_request(jobs: Jobs, ledger: Ledger, task: str) -> None:
    job = jobs.add(task)
    ledger.wait("begin", job)

    assert jobs.one("select pgq.cancel(%s)", job) == "requested"

    jobs.wait(job, "cancelled")
    assert ledger.count("cancelled", job) == 1


def test_long_handler_is_noted_as_started(jobs: Jobs, ledger: Ledger) -> None:
    job = jobs.add("wait")
    ledger.wait("begin", job)

    until(lambda: jobs.one("select started_at from pgq.get_job(%s)", job), "it is noted")
