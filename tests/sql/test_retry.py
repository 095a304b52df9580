from __future__ import annotations

import json

import pytest

from sql.states import (
    assert_counters_are_right,
    assert_refuses_other_states,
    assert_refuses_unknown_jobs,
    crashed,
    holder,
    job_in,
    others,
)
from sql.support import (
    Conn,
    answer,
    call,
    claim_one,
    connect,
    hold,
    insert,
    refused,
    row,
    state,
    value,
)


@pytest.mark.parametrize("ended", ["dead", "cancelled"])
def test_it_runs_again_from_its_first_attempt(conn: Conn, ended: str) -> None:
    job = job_in(conn, ended)
    answer(conn, "retry", id=job)
    assert state(conn, job) == "ready"
    assert_counters_are_right(conn)
    lease = claim_one(conn)
    assert (lease["id"], lease["attempt"]) == (job, 1)
    answer(conn, "complete", **hold(lease))
    assert state(conn, job) == "succeeded"


@pytest.mark.parametrize("wrong", others("dead", "cancelled"))
def test_any_other_state_is_refused(conn: Conn, wrong: str) -> None:
    assert_refuses_other_states(conn, "retry", wrong)


def test_unknown_job_is_refused(conn: Conn) -> None:
    assert_refuses_unknown_jobs(conn, "retry")


def test_another_payload_is_what_it_runs_with(conn: Conn) -> None:
    job = job_in(conn, "dead", payload='{"old": 1}')
    answer(conn, "retry", id=job, payload='{"new":  2}')
    assert claim_one(conn)["payload"] == {"new": 2}


def test_payload_stays_when_none_is_given(conn: Conn) -> None:
    job = job_in(conn, "dead", payload='{"old": 1}')
    answer(conn, "retry", id=job)
    assert claim_one(conn)["payload"] == {"old": 1}


def test_payload_over_the_queues_limit_is_refused(conn: Conn) -> None:
    job = job_in(conn, "dead", queue="small")
    call(conn, "configure_queue", queue="small", payload_limit=10)
    with refused("PQ005") as said:
        answer(conn, "retry", id=job, payload=json.dumps("x" * 20))
    assert "payload" in said.message
    assert state(conn, job) == "dead"


def test_crashed_job_goes_on_as_a_suspect_without_crashes(conn: Conn) -> None:
    job = crashed(conn)
    answer(conn, "retry", id=job)
    found = row(
        conn,
        "select s.attempt, s.crashes, s.suspect, r.lane = pgq._lane('default', 5, true) as lane"
        " from pgq.job_status s join pgq.ready r on r.job_id = s.id where s.id = %s",
        [job],
    )
    assert found == {"attempt": 0, "crashes": 0, "suspect": True, "lane": True}
    assert_counters_are_right(conn)


def test_it_takes_its_unique_key_again(conn: Conn) -> None:
    job = job_in(conn, "dead", unique_key="k")
    answer(conn, "retry", id=job)
    assert holder(conn, "k") == job
    answer(conn, "complete", **hold(claim_one(conn)))
    assert holder(conn, "k") is None


def test_job_whose_key_is_taken_stays_dead(conn: Conn) -> None:
    job = job_in(conn, "dead", unique_key="k")
    (rival,) = insert(conn, unique_key="k")
    with refused("PQ003") as said:
        answer(conn, "retry", id=job)
    assert str(job) in said.message
    assert str(rival) in said.message
    assert state(conn, job) == "dead"
    assert holder(conn, "k") == rival


def test_key_that_a_producer_is_at_makes_it_busy_soon(conn: Conn, dsn: str) -> None:
    job = job_in(conn, "dead", unique_key="k")
    with connect(dsn, autocommit=False) as producer:
        insert(producer, unique_key="k")
        with refused("PQ007"):
            answer(conn, "retry", id=job)
        producer.rollback()
    answer(conn, "retry", id=job)
    assert state(conn, job) == "ready"


def test_retry_twice_at_once_makes_one_job(conn: Conn, dsn: str) -> None:
    job = job_in(conn, "dead")
    with connect(dsn, autocommit=False) as other:
        answer(other, "retry", id=job)
        conn.execute("set lock_timeout = '1ms'")
        with refused("PQ007"):
            answer(conn, "retry", id=job)
        other.commit()
    with refused("PQ003"):
        answer(conn, "retry", id=job)
    assert value(conn, "select count(*) from pgq.ready") == 1


def test_job_cancelled_before_its_time_still_waits_for_it(conn: Conn) -> None:
    job = job_in(conn, "scheduled", unique_key="k")
    answer(conn, "cancel", id=job)
    answer(conn, "retry", id=job)
    assert state(conn, job) == "scheduled"
    assert holder(conn, "k") == job
    assert_counters_are_right(conn)


def test_attempts_so_far_are_still_listed(conn: Conn) -> None:
    job = job_in(conn, "dead")
    answer(conn, "retry", id=job)
    assert [each["reason"] for each in call(conn, "list_attempts", id=job)] == ["error"]
