"""A job as its enqueuer sees it: results, states, cancelling."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any

import anyio
import anyio.to_thread
import pytest

from pgq import App, Job, JobFailed, NoSuchJob, WaitTimeout

pytestmark = pytest.mark.anyio
Rows = Callable[..., list[tuple[Any, ...]]]
Run = Callable[..., None]


@pytest.fixture
def claim(rows: Rows) -> Callable[[], tuple[int, uuid.UUID]]:
    """Claims one job as somebody without a heartbeat."""

    def run() -> tuple[int, uuid.UUID]:
        token = uuid.uuid4()
        [(id_,)] = rows(
            "select c.id from pgq.claim(p_worker => 0, p_executor => 0, p_token => %s, "
            "p_queues => array['default'], p_limits => array[1], p_lease => interval '1 h') c",
            token,
        )
        return id_, token

    return run


@pytest.fixture
def complete(claim: Callable[[], tuple[int, uuid.UUID]], rows: Rows) -> Callable[[Any], None]:
    """Claims one job and completes it with a result."""

    def run(result: Any) -> None:
        id_, token = claim()
        rows(
            "select pgq.complete(p_id => %s, p_token => %s, p_result => %s::json)",
            id_,
            token,
            None if result is None else json.dumps(result),
        )

    return run


@pytest.mark.parametrize("result", [None, {"a": [1, "two", None]}, "text", 0, False])
async def test_wait_returns_the_result(app: App, complete: Run, result: Any) -> None:
    job = await app.enqueue("mail")
    complete(result)
    assert await job.wait(timeout=30) == result


async def test_wait_sync_returns_the_result(app: App, complete: Run) -> None:
    job = await app.enqueue("mail")
    complete([1])
    assert job.wait_sync(timeout=30) == [1]
    app.close_sync()


async def test_wait_goes_on_until_the_job_has_ended(app: App, complete: Run) -> None:
    job = await app.enqueue("mail")
    results: list[Any] = []

    async def wait() -> None:
        results.append(await job.wait(timeout=30))

    async with anyio.create_task_group() as group:
        group.start_soon(wait)
        with pytest.raises(WaitTimeout):
            await job.wait(timeout=0.05)
        assert results == []
        await anyio.to_thread.run_sync(complete, "done")
    assert results == ["done"]


async def test_wait_ends_in_time_and_leaves_the_job(app: App) -> None:
    job = await app.enqueue("mail")
    with pytest.raises(WaitTimeout, match=rf"job {job.id} did not end within 0 s"):
        await job.wait(timeout=0)
    assert (await job.status()).state == "ready"


async def test_wait_looks_at_least_once(app: App, complete: Run) -> None:
    job = await app.enqueue("mail")
    complete("done")
    assert await job.wait(timeout=0) == "done"


async def test_waiting_for_a_cancelled_job_fails(app: App) -> None:
    job = await app.enqueue("mail")
    assert await job.cancel("not needed") == "cancelled"
    with pytest.raises(JobFailed) as caught:
        await job.wait(timeout=30)
    assert caught.value.state == "cancelled"
    assert caught.value.job_id == job.id


async def test_waiting_for_a_dead_job_fails_with_its_message(
    app: App, claim: Callable[[], tuple[int, uuid.UUID]], rows: Rows
) -> None:
    job = await app.enqueue("mail")
    id_, token = claim()
    rows(
        "select pgq.fail(p_id => %s, p_token => %s, p_error_class => 'ValueError', "
        "p_message => 'no such address', p_traceback => '', p_permanent => true)",
        id_,
        token,
    )
    with pytest.raises(JobFailed, match=f"job {job.id} is dead: no such address"):
        job.wait_sync(timeout=30)
    app.close_sync()


async def test_waiting_for_a_job_that_was_rolled_back_fails(app: App) -> None:
    with pytest.raises(NoSuchJob):
        await app.job(1).wait(timeout=30)


async def test_a_running_job_is_cancelled_by_request(
    app: App, claim: Callable[[], tuple[int, uuid.UUID]]
) -> None:
    job = await app.enqueue("mail")
    claim()
    assert job.cancel_sync() == "requested"
    status = job.status_sync()
    app.close_sync()
    assert status.state == "running"
    assert status.cancel_requested


async def test_a_status_tells_the_policy_that_holds(app: App) -> None:
    job = await app.enqueue("mail", max_attempts=3)
    status = await job.status()
    assert (status.state, status.attempt, status.max_attempts) == ("ready", 0, 3)


async def test_a_handle_is_made_of_an_id(app: App, complete: Run) -> None:
    job = await app.enqueue("mail")
    complete("done")
    assert await app.job(job.id).wait(timeout=30) == "done"


async def test_jobs_are_equal_by_what_they_are(app: App) -> None:
    assert Job(1, "mail", app=app) == Job(1, "mail", app=App("elsewhere"))
