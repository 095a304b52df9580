"""A unique key: one unfinished job of the queue has it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pgq import App, BadArgument, TaskError

pytestmark = pytest.mark.anyio
Rows = Callable[..., list[tuple[Any, ...]]]


async def test_a_taken_key_gives_the_job_that_has_it(app: App, rows: Rows) -> None:
    @app.task()
    async def bill(account: int) -> None: ...

    first = await bill.options(unique_key="7").enqueue(7)
    second = await bill.options(unique_key="7").enqueue(8)
    assert (first.created, second.created) == (True, False)
    assert first.id == second.id
    assert rows("select payload from pgq.job") == [({"account": 7},)]


async def test_a_key_is_made_of_the_arguments(app: App, rows: Rows) -> None:
    @app.task(unique_key=lambda account, month=1: f"{account}/{month}")
    async def bill(account: int, month: int = 1) -> None: ...

    await bill.enqueue(7)
    again = bill.enqueue_sync(account=7, month=1)
    other = await bill.enqueue(7, month=2)
    app.close_sync()
    assert (again.created, other.created) == (False, True)
    assert rows("select unique_key from pgq.job order by id") == [("7/1",), ("7/2",)]


async def test_a_key_is_made_of_a_payload_by_name(app: App) -> None:
    app.task("bill", unique_key=lambda account: f"{account}")(lambda account: None)
    first = await app.enqueue("bill", {"account": 7})
    assert (await app.enqueue("bill", [7])).id == first.id


async def test_a_key_is_free_again_when_its_job_is_cancelled(app: App) -> None:
    @app.task(unique_key="only")
    async def bill() -> None: ...

    first = await bill.enqueue()
    await first.cancel()
    second = await bill.enqueue()
    assert second.created
    assert second.id != first.id


async def test_the_same_key_in_another_queue_is_free(app: App) -> None:
    @app.task(unique_key="only")
    async def bill() -> None: ...

    await bill.enqueue()
    assert (await bill.options(queue="other").enqueue()).created


async def test_a_key_that_is_no_string_is_refused(app: App) -> None:
    @app.task(unique_key=lambda account: account)
    async def bill(account: int) -> None: ...

    with pytest.raises(TaskError, match="unique_key returned 7; expected a string"):
        await bill.enqueue(7)


async def test_a_key_that_is_too_long_is_refused_by_the_database(app: App) -> None:
    @app.task(unique_key=lambda account: account * 201)
    async def bill(account: str) -> None: ...

    with pytest.raises(BadArgument, match="unique_key"):
        await bill.enqueue("x")
