from __future__ import annotations

from typing import Any

import pytest

from sql.states import STATES, assert_refuses_unknown_jobs, job_in
from sql.support import Conn, answer, call, claim_one, hold, insert, refused, register, running


def get(conn: Conn, job: int) -> dict[str, Any]:
    (found,) = call(conn, "get_job", id=job)
    return found


@pytest.mark.parametrize("wanted", STATES)
def test_job_in_each_state_is_found(conn: Conn, wanted: str) -> None:
    job = job_in(conn, wanted, tags=["a"], unique_key="k", priority=3)
    found = get(conn, job)
    assert (found["id"], found["state"], found["task"]) == (job, wanted, "echo")
    assert (found["tags"], found["unique_key"], found["priority"]) == (["a"], "k", 3)
    assert (found["finished_at"] is not None) == (wanted in ("succeeded", "cancelled", "dead"))


def test_unknown_job_is_refused(conn: Conn) -> None:
    assert_refuses_unknown_jobs(conn, "get_job")


def test_purged_job_is_unknown(conn: Conn) -> None:
    job = job_in(conn, "dead")
    answer(conn, "purge", ids=[job])
    with refused("PQ002"):
        get(conn, job)


def test_policy_is_the_one_that_holds(conn: Conn) -> None:
    call(conn, "configure_queue", queue="default", timeout="1 minute")
    (job,) = insert(conn, max_attempts=3)
    found = get(conn, job)
    assert (found["timeout"].seconds, found["max_attempts"]) == (60, 3)


@pytest.mark.parametrize("wanted", ["retrying", "dead"])
def test_last_error_is_told(conn: Conn, wanted: str) -> None:
    found = get(conn, job_in(conn, wanted))
    assert (found["reason"], found["error_class"], found["message"]) == ("error", "Boom", "no")


def test_success_hides_the_errors_before_it(conn: Conn) -> None:
    job = job_in(conn, "retrying")
    answer(conn, "run_now", id=job)
    answer(conn, "complete", **hold(claim_one(conn)))
    assert get(conn, job)["reason"] is None


def test_worker_is_named(conn: Conn) -> None:
    worker = register(conn, name="box-1")
    lease = running(conn, worker=worker)
    found = get(conn, lease["id"])
    assert (found["worker"], found["worker_name"]) == (worker, "box-1")
    answer(conn, "complete", **hold(lease))
    assert get(conn, lease["id"])["worker_name"] == "box-1"


def test_request_to_cancel_is_that_of_the_present_attempt(conn: Conn) -> None:
    lease = running(conn)
    assert get(conn, lease["id"])["cancel_requested"] is False
    answer(conn, "cancel", id=lease["id"])
    assert get(conn, lease["id"])["cancel_requested"] is True
    answer(conn, "cancel", **hold(lease))
    assert get(conn, lease["id"])["cancel_requested"] is False
