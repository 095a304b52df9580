from __future__ import annotations

import pytest

from sql.states import (
    assert_counters_are_right,
    assert_refuses_other_states,
    assert_refuses_unknown_jobs,
    job_in,
    others,
)
from sql.support import Conn, answer, call, claim_one, connect, hold, refused, state


@pytest.mark.parametrize("waiting", ["scheduled", "retrying"])
def test_delayed_job_is_ready_at_once(conn: Conn, waiting: str) -> None:
    job = job_in(conn, waiting)
    answer(conn, "run_now", id=job)
    assert state(conn, job) == "ready"
    assert claim_one(conn)["attempt"] == (2 if waiting == "retrying" else 1)
    assert_counters_are_right(conn)


@pytest.mark.parametrize("wrong", others("scheduled", "retrying"))
def test_any_other_state_is_refused(conn: Conn, wrong: str) -> None:
    assert_refuses_other_states(conn, "run_now", wrong)


def test_unknown_job_is_refused(conn: Conn) -> None:
    assert_refuses_unknown_jobs(conn, "run_now")


def test_job_that_somebody_is_moving_is_busy(conn: Conn, dsn: str) -> None:
    job = job_in(conn, "scheduled")
    with connect(dsn, autocommit=False) as other:
        answer(other, "run_now", id=job)
        conn.execute("set lock_timeout = '1ms'")
        with refused("PQ007"):
            answer(conn, "run_now", id=job)


def test_later_retry_does_not_wait_for_the_time_it_had(conn: Conn) -> None:
    job = job_in(conn, "scheduled")
    answer(conn, "run_now", id=job)
    call(conn, "fail", **hold(claim_one(conn)), permanent=True)
    answer(conn, "retry", id=job)
    assert state(conn, job) == "ready"
