"""One job enqueued: what stands in its row, asynchronously, synchronously and by name."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pgq import App, Backoff, BadArgument, Job, TaskError

pytestmark = pytest.mark.anyio
Rows = Callable[..., list[tuple[Any, ...]]]
POLICY = (
    "select queue, priority, run_at, max_attempts, timeout, backoff_base, backoff_max, unique_key, "
    "tags, headers from pgq.job where id = %s"
)


async def test_a_job_has_its_tasks_name_and_arguments(app: App, rows: Rows) -> None:
    @app.task()
    async def mail(to: str, copies: int = 1) -> None: ...

    job = await mail.enqueue("ann", copies=2)
    assert job.created
    assert job.task == "mail"
    assert rows("select id, task, payload from pgq.job") == [
        (job.id, "mail", {"to": "ann", "copies": 2})
    ]


async def test_the_sync_verb_makes_the_same_job(app: App, rows: Rows) -> None:
    @app.task()
    def mail(to: str) -> None: ...

    job = mail.enqueue_sync("ann")
    assert rows("select id, task, payload from pgq.job") == [(job.id, "mail", {"to": "ann"})]
    app.close_sync()


async def test_a_task_without_a_policy_leaves_everything_to_the_queue(app: App, rows: Rows) -> None:
    @app.task()
    async def mail() -> None: ...

    job = await mail.enqueue()
    assert rows(POLICY, job.id) == [("default", 5, None, None, None, None, None, None, [], None)]


async def test_a_tasks_policy_is_written_into_its_jobs(app: App, rows: Rows) -> None:
    @app.task(
        queue="post",
        priority=0,
        max_attempts=3,
        timeout=1.5,
        retry=Backoff(base=timedelta(seconds=2), max=60),
        tags=["slow"],
        headers={"from": "test"},
    )
    async def mail() -> None: ...

    job = await mail.enqueue()
    assert rows(POLICY, job.id) == [
        (
            "post",
            0,
            None,
            3,
            timedelta(seconds=1.5),
            timedelta(seconds=2),
            timedelta(minutes=1),
            None,
            ["slow"],
            {"from": "test"},
        )
    ]


async def test_options_of_a_call_go_before_the_tasks(app: App, rows: Rows) -> None:
    @app.task(queue="post", priority=1, max_attempts=3)
    async def mail() -> None: ...

    changed = mail.options(queue="express", max_attempts=9, timeout=timedelta(minutes=1))
    job = await changed.enqueue()
    assert rows(
        "select queue, priority, max_attempts, timeout from pgq.job where id = %s", job.id
    ) == [("express", 1, 9, timedelta(minutes=1))]


async def test_options_leave_the_task_itself_as_it_was(app: App, rows: Rows) -> None:
    @app.task()
    async def mail() -> None: ...

    mail.options(queue="express")
    job = await mail.enqueue()
    assert rows("select queue from pgq.job where id = %s", job.id) == [("default",)]


async def test_options_add_up(app: App, rows: Rows) -> None:
    @app.task()
    async def mail() -> None: ...

    job = await mail.options(queue="express").options(priority=2).enqueue()
    assert rows("select queue, priority from pgq.job where id = %s", job.id) == [("express", 2)]


@pytest.mark.parametrize("unique_key", [None, "one"])
async def test_a_delay_counts_from_now_by_the_databases_clock(
    app: App, rows: Rows, unique_key: str | None
) -> None:
    @app.task()
    async def mail() -> None: ...

    (before,) = rows("select clock_timestamp()")[0]
    task = mail.options(delay=3600)
    job = await (task.options(unique_key=unique_key) if unique_key else task).enqueue()
    (run_at, after) = rows("select run_at, clock_timestamp() from pgq.job")[0]
    hour = timedelta(hours=1)
    assert before + hour <= run_at <= after + hour
    assert (await job.status()).state == "scheduled"


async def test_a_job_is_scheduled_for_a_time(app: App, rows: Rows) -> None:
    @app.task(delay=5)
    async def mail() -> None: ...

    moment = datetime(2100, 1, 1, tzinfo=UTC)
    await mail.options(run_at=moment).enqueue()
    assert rows("select run_at from pgq.job") == [(moment,)]


async def test_a_delay_and_a_time_together_are_refused(app: App) -> None:
    with pytest.raises(TaskError, match="exclude each other"):
        app.task("mail")(lambda: None).options(delay=1, run_at=datetime.now(UTC))


async def test_what_only_the_database_refuses_says_what_was_expected(app: App) -> None:
    @app.task()
    async def mail(text: str) -> None: ...

    with pytest.raises(BadArgument) as caught:
        await mail.enqueue("x" * 1_100_000)
    assert "payload" in str(caught.value.detail)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("given", "written"),
    [
        (None, {}),
        ({"to": "ann"}, {"to": "ann"}),
        (["ann"], ["ann"]),
        ("ann", "ann"),
        (datetime(2030, 1, 1, tzinfo=UTC), "2030-01-01T00:00:00Z"),
    ],
)
async def test_a_job_is_made_by_the_name_of_a_task_that_is_not_declared(
    app: App, rows: Rows, given: Any, written: Any
) -> None:
    job = await app.enqueue("elsewhere", given, queue="far", unique_key="once")
    assert job == Job(job.id, "elsewhere", app=app)
    assert rows("select task, payload, queue, unique_key from pgq.job") == [
        ("elsewhere", written, "far", "once")
    ]


async def test_by_name_the_declared_tasks_options_hold(app: App, rows: Rows) -> None:
    app.task("mail", queue="post")(lambda to: None)
    app.enqueue_sync("mail", {"to": "ann"}, priority=1)
    app.close_sync()
    assert rows("select queue, priority, payload from pgq.job") == [("post", 1, {"to": "ann"})]


async def test_by_name_the_declared_tasks_arguments_are_checked(app: App) -> None:
    app.task("mail")(lambda to: None)
    with pytest.raises(TaskError, match="argument 'to': Missing"):
        await app.enqueue("mail")


async def test_a_function_as_unique_key_of_an_undeclared_task_is_refused(app: App) -> None:
    with pytest.raises(TaskError, match="as a string"):
        await app.enqueue("elsewhere", unique_key=lambda: "x")


async def test_many_concurrent_calls_share_a_few_sessions(app: App, rows: Rows) -> None:
    import anyio

    @app.task()
    async def mail(n: int) -> None: ...

    async with anyio.create_task_group() as group:
        for n in range(100):
            group.start_soon(mail.enqueue, n)
    assert rows("select count(*) from pgq.job") == [(100,)]
    assert (
        rows("select count(*) from pg_stat_activity where application_name = 'pgq client'")[0][0]
        <= 10
    )
