"""The helpers for the tests of others."""

from __future__ import annotations

import handlers
import psycopg
import pytest

from pgq_worker.outcomes import Cancelled, Declined, Failed, Snoozed
from pgq_worker.testing import drain, drain_sync, run_task, run_task_sync
from support import Jobs


@pytest.mark.anyio
async def test_handler_runs_inline() -> None:
    ran = await run_task(handlers.echo, {"a": 1})

    assert ran.result == {"a": 1}


def test_handler_runs_inline_without_an_event_loop() -> None:
    assert run_task_sync(handlers.echo_in_thread, 3).result == 3


def test_lines_of_a_handler_that_ran_inline_are_seen() -> None:
    lines = run_task_sync(handlers.talk).lines

    assert [(line.level, line.message, line.progress) for line in lines] == [
        ("warning", "from the context", None),
        ("info", "a quarter", 0.25),
    ]


def test_result_of_a_handler_that_failed_tells_why() -> None:
    ran = run_task_sync(handlers.fail, "because")

    with pytest.raises(AssertionError, match="ValueError: because"):
        ran.result  # noqa: B018


def test_drain_runs_all_that_is_ready_in_the_callers_transaction(
    dsn: str, conn: psycopg.Connection[object]
) -> None:
    with psycopg.connect(dsn) as caller:
        mine = Jobs(caller)
        jobs = {
            mine.add("echo", '{"value": 1}'): "succeeded",
            mine.add("fail", max_attempts=1): "dead",
            mine.add("fail", backoff_base="1 hour"): "retrying",
            mine.add("answer", '{"kind": "snooze"}', queue="other"): "scheduled",
            mine.add("answer", '{"kind": "cancel"}'): "cancelled",
            mine.add("nobody_knows"): "scheduled",
            mine.add("talk"): "succeeded",
        }

        ran = {job.id: job for job in drain_sync(handlers.app, caller)}

        assert {job: mine.state(job) for job in jobs} == jobs
        kinds = [type(ran[job].outcome) for job in jobs]
        assert kinds[1:6] == [Failed, Failed, Snoozed, Cancelled, Declined]
        assert mine.one("select count(*) from pgq.log") == 2
        caller.rollback()
    assert conn.execute("select count(*) from pgq.job").fetchone() == (0,)


@pytest.mark.anyio
async def test_drain_over_a_connection_string_takes_only_the_named_queues(
    dsn: str, jobs: Jobs
) -> None:
    taken, left = jobs.add("echo", queue="a"), jobs.add("echo", queue="b")

    ran = await drain(handlers.app, dsn, queues=["a"])

    assert [job.id for job in ran] == [taken]
    assert jobs.state(left) == "ready"


def test_drain_ends_handlers_at_their_timeout(dsn: str, jobs: Jobs) -> None:
    job = jobs.add("patient", timeout="0.1 s", max_attempts=1)

    @handlers.app.task
    async def patient() -> None:
        import anyio

        await anyio.sleep_forever()

    drain_sync(handlers.app, dsn)

    assert jobs.attempts(job) == [("timeout", True)]
