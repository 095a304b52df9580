"""Assertions on what was enqueued."""

from __future__ import annotations

import psycopg
import pytest

from pgq import App
from pgq.testing import assert_enqueued, assert_enqueued_sync, enqueued, enqueued_sync

pytestmark = pytest.mark.anyio


@pytest.fixture
def jobs(app: App, conn: psycopg.Connection[tuple[object, ...]]) -> App:
    app.task("mail")(lambda to: None)
    app.enqueue_sync("mail", {"to": "ann"}, connection=conn, tags=["a"], headers={"h": 1})
    app.enqueue_sync("mail", {"to": "bob"}, connection=conn, queue="post", priority=2)
    app.enqueue_sync("sweep", connection=conn, delay=60)
    return app


async def test_a_job_that_was_enqueued_is_returned(
    jobs: App, conn: psycopg.Connection[tuple[object, ...]]
) -> None:
    [job] = assert_enqueued_sync(conn, task="mail", payload={"to": "ann"}, count=1)
    assert (job.queue, job.priority, job.state, job.tags, job.headers) == (
        "default",
        5,
        "ready",
        ("a",),
        {"h": 1},
    )


async def test_a_task_is_given_itself_or_by_name(
    jobs: App, conn: psycopg.Connection[tuple[object, ...]]
) -> None:
    assert enqueued_sync(conn, task=jobs.tasks["mail"]) == enqueued_sync(conn, task="mail")


async def test_each_condition_narrows(
    jobs: App, conn: psycopg.Connection[tuple[object, ...]]
) -> None:
    assert len(enqueued_sync(conn)) == 3
    assert [job.payload for job in enqueued_sync(conn, queue="post")] == [{"to": "bob"}]
    assert [job.task for job in enqueued_sync(conn, state="scheduled")] == ["sweep"]
    assert [job.payload for job in enqueued_sync(conn, priority=2)] == [{"to": "bob"}]
    assert [job.payload for job in enqueued_sync(conn, tags=("a",))] == [{"to": "ann"}]


async def test_a_missing_job_fails_telling_what_there_is(
    jobs: App, conn: psycopg.Connection[tuple[object, ...]]
) -> None:
    with pytest.raises(AssertionError) as caught:
        assert_enqueued_sync(conn, task="mail", payload={"to": "eve"})
    assert "expected at least 1 job with task='mail', payload={'to': 'eve'}" in str(caught.value)
    assert 'mail in post: {"to": "bob"}' in str(caught.value)


async def test_another_number_of_jobs_fails(
    jobs: App, conn: psycopg.Connection[tuple[object, ...]]
) -> None:
    with pytest.raises(AssertionError, match="expected 1 job with task='mail'; there are 2"):
        assert_enqueued_sync(conn, task="mail", count=1)


async def test_none_can_be_asserted(
    jobs: App, conn: psycopg.Connection[tuple[object, ...]]
) -> None:
    assert_enqueued_sync(conn, task="other", count=0)
    with pytest.raises(AssertionError, match="expected 0 jobs"):
        assert_enqueued_sync(conn, task="sweep", count=0)


async def test_an_uncommitted_job_is_seen_over_its_own_connection(app: App, dsn: str) -> None:
    async with await psycopg.AsyncConnection.connect(dsn) as session:
        await app.enqueue("mail", connection=session)
        assert len(await assert_enqueued(session, task="mail", count=1)) == 1
        await session.rollback()
        assert await enqueued(session) == []
        with pytest.raises(AssertionError, match="nothing was enqueued"):
            await assert_enqueued(session)
