"""Many jobs in one statement."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from pgq import App, Backoff, TaskError

pytestmark = pytest.mark.anyio
Rows = Callable[..., list[tuple[Any, ...]]]


async def test_each_call_becomes_a_job_in_the_same_order(app: App, rows: Rows) -> None:
    @app.task()
    async def add(number: int, other: int = 0) -> None: ...

    jobs = await add.enqueue_many([{"number": 1}, [2, 3], (4,), 5])
    assert rows("select id, payload from pgq.job order by id") == [
        (jobs[0].id, {"number": 1}),
        (jobs[1].id, {"number": 2, "other": 3}),
        (jobs[2].id, {"number": 4}),
        (jobs[3].id, {"number": 5}),
    ]


async def test_the_order_holds_for_twenty_thousand(app: App, rows: Rows) -> None:
    @app.task()
    async def add(number: int) -> None: ...

    jobs = await add.enqueue_many(range(20_000))
    stored: dict[int, int] = dict(rows("select id, (payload ->> 'number')::integer from pgq.job"))
    assert [stored[job.id] for job in jobs] == list(range(20_000))


async def test_the_sync_verb_makes_the_same_jobs(app: App, rows: Rows) -> None:
    @app.task()
    def add(number: int) -> None: ...

    jobs = add.enqueue_many_sync([1, 2])
    app.close_sync()
    assert rows("select id, payload from pgq.job order by id") == [
        (jobs[0].id, {"number": 1}),
        (jobs[1].id, {"number": 2}),
    ]


@pytest.mark.parametrize("unique_key", [None, lambda number: f"n{number}"])
async def test_options_hold_for_each_job(app: App, rows: Rows, unique_key: Any) -> None:
    @app.task(queue="q", timeout=2.5, retry=Backoff(max=9), tags=["a"], headers={"h": [1]})
    async def add(number: int) -> None: ...

    task = add.options(delay=60, priority=7)
    if unique_key:
        task = task.options(unique_key=unique_key)
    await task.enqueue_many([1, 2])
    query = (
        "select queue, priority, timeout, backoff_base, backoff_max, tags, headers, "
        "run_at > now() + interval '30 s' from pgq.job"
    )
    job = ("q", 7, timedelta(seconds=2.5), None, timedelta(seconds=9), ["a"], {"h": [1]}, True)
    assert rows(query) == [job, job]


async def test_no_calls_make_no_jobs(app: App, rows: Rows) -> None:
    @app.task()
    async def add(number: int) -> None: ...

    assert await add.enqueue_many([]) == []
    assert rows("select count(*) from pgq.job") == [(0,)]


async def test_one_bad_call_and_none_is_enqueued(app: App, rows: Rows) -> None:
    @app.task()
    async def add(number: int) -> None: ...

    with pytest.raises(TaskError, match="argument 'number'"):
        await add.enqueue_many([1, "two", 3])
    assert rows("select count(*) from pgq.job") == [(0,)]


async def test_a_job_of_each_key_that_is_free_is_made(app: App, rows: Rows) -> None:
    @app.task(unique_key=lambda account: f"account {account}")
    async def bill(account: int) -> None: ...

    first = await bill.enqueue(2)
    jobs = await bill.enqueue_many([1, 2, 3, 1])
    assert [job.created for job in jobs] == [True, False, True, False]
    assert jobs[1].id == first.id
    assert jobs[3].id == jobs[0].id
    assert rows("select count(*) from pgq.job") == [(3,)]


async def test_many_jobs_live_or_die_with_the_callers_transaction(
    app: App, dsn: str, rows: Rows
) -> None:
    @app.task()
    async def add(number: int) -> None: ...

    with psycopg.connect(dsn) as session:
        assert len(add.options(connection=session).enqueue_many_sync([1, 2])) == 2
        session.rollback()
        assert rows("select count(*) from pgq.job") == [(0,)]
        add.options(connection=session).enqueue_many_sync([1, 2])
        session.commit()
    assert rows("select count(*) from pgq.job") == [(2,)]
