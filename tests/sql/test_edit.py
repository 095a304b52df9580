from __future__ import annotations

import json
from typing import Any

import pytest

from sql.states import (
    assert_counters_are_right,
    assert_refuses_other_states,
    assert_refuses_unknown_jobs,
    crashed,
    job_in,
    others,
    seq,
)
from sql.support import (
    Conn,
    answer,
    call,
    claim,
    claim_one,
    connect,
    insert,
    refused,
    row,
    state,
    value,
)

EDITABLE = ("scheduled", "ready", "retrying", "dead")


@pytest.mark.parametrize("editable", EDITABLE)
def test_payload_is_changed_where_it_stands(conn: Conn, editable: str) -> None:
    job = job_in(conn, editable)
    answer(conn, "edit", id=job, payload="[1]")
    assert call(conn, "get_payload", id=job)[0]["payload"] == [1]
    assert state(conn, job) == editable
    assert_counters_are_right(conn)


@pytest.mark.parametrize("wrong", others(*EDITABLE))
def test_any_other_state_is_refused(conn: Conn, wrong: str) -> None:
    assert_refuses_other_states(conn, "edit", wrong, payload="[1]")


def test_unknown_job_is_refused(conn: Conn) -> None:
    assert_refuses_unknown_jobs(conn, "edit", payload="[1]")


@pytest.mark.parametrize("editable", ["scheduled", "retrying"])
def test_delayed_job_comes_into_its_new_lane(conn: Conn, editable: str) -> None:
    job = job_in(conn, editable)
    answer(conn, "edit", id=job, priority=2)
    assert state(conn, job) == editable
    answer(conn, "run_now", id=job)
    insert(conn, priority=3)
    assert [each["id"] for each in claim(conn, limits=1)] == [job]


def test_ready_job_comes_last_in_its_new_lane(conn: Conn) -> None:
    (job,) = insert(conn, priority=9)
    (there,) = insert(conn, priority=1)
    answer(conn, "edit", id=job, priority=1)
    assert [each["id"] for each in claim(conn, limits=2)] == [there, job]


def test_same_priority_keeps_its_place(conn: Conn) -> None:
    (job,) = insert(conn)
    place = seq(conn, job)
    answer(conn, "edit", id=job, priority=5)
    assert seq(conn, job) == place


def test_dead_job_is_retried_with_its_new_priority(conn: Conn) -> None:
    job = job_in(conn, "dead")
    answer(conn, "edit", id=job, priority=0)
    insert(conn, priority=1)
    answer(conn, "retry", id=job)
    assert claim_one(conn)["id"] == job


def test_suspect_stays_a_suspect_in_its_new_lane(conn: Conn) -> None:
    job = crashed(conn)
    answer(conn, "retry", id=job)
    answer(conn, "edit", id=job, priority=0)
    assert value(
        conn,
        "select r.lane = pgq._lane('default', 0, true) from pgq.ready r where r.job_id = %s",
        [job],
    )


def test_time_to_come_makes_a_ready_job_scheduled(conn: Conn) -> None:
    job = job_in(conn, "ready", unique_key="k")
    answer(conn, "edit", id=job, run_at="2100-01-01")
    assert state(conn, job) == "scheduled"
    assert value(conn, "select d.has_key from pgq.delayed d where d.job_id = %s", [job])
    assert_counters_are_right(conn)


@pytest.mark.parametrize("editable", ["scheduled", "retrying"])
def test_time_that_has_passed_makes_a_delayed_job_ready(conn: Conn, editable: str) -> None:
    job = job_in(conn, editable)
    answer(conn, "edit", id=job, run_at="2000-01-01")
    assert state(conn, job) == "ready"
    assert_counters_are_right(conn)


def test_other_time_moves_a_delayed_job(conn: Conn) -> None:
    job = job_in(conn, "scheduled")
    answer(conn, "edit", id=job, run_at="2099-01-01Z")
    found = row(
        conn, "select j.run_at, s.run_at as shown from pgq.job j join pgq.job_status s using (id)"
    )
    assert {each.year for each in found.values()} == {2099}


def test_dead_job_waits_for_the_time_it_was_given(conn: Conn) -> None:
    job = job_in(conn, "dead")
    answer(conn, "edit", id=job, run_at="2100-01-01")
    answer(conn, "retry", id=job)
    assert state(conn, job) == "scheduled"


@pytest.mark.parametrize(
    "bad",
    [
        {"priority": 10},
        {"priority": -1},
        {"run_at": "infinity"},
        {"payload": json.dumps("x" * 200)},
        {},
    ],
)
def test_bad_value_is_refused(conn: Conn, bad: dict[str, Any]) -> None:
    call(conn, "configure_queue", queue="default", payload_limit=100)
    job = job_in(conn, "ready")
    with refused("PQ005"):
        call(conn, "edit", id=job, **bad)


@pytest.mark.parametrize("editable", EDITABLE)
def test_job_that_somebody_is_moving_is_busy(conn: Conn, dsn: str, editable: str) -> None:
    job = job_in(conn, editable)
    with connect(dsn, autocommit=False) as other:
        table = "delayed" if editable in ("scheduled", "retrying") else editable
        other.execute(f"select from pgq.{table} where job_id = %s for update", [job])
        conn.execute("set lock_timeout = '1ms'")
        with refused("PQ007"):
            call(conn, "edit", id=job, payload="[1]")


def test_job_that_is_committed_just_now_is_refused_like_one_that_moves(conn: Conn) -> None:
    """Where it stands is seen, and it itself was not yet."""
    job = job_in(conn, "ready")
    conn.execute("delete from pgq.job where id = %s", [job])
    with refused("PQ002"):
        answer(conn, "edit", id=job, priority=2)
