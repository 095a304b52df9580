"""start: handlers that have been running for a while."""

from __future__ import annotations

from datetime import timedelta

from sql.support import (
    Conn,
    attempts,
    call,
    hold_all,
    move_clock,
    prolong,
    register,
    row,
    running,
    state,
    upkeep_goes_on,
    value,
)


def test_start_writes_down_when_the_handler_began(conn: Conn) -> None:
    lease = running(conn)
    before = value(conn, "select clock_timestamp()")
    assert call(conn, "start", **hold_all(lease), ran_seconds=[90.5]) == []
    started = value(conn, "select started_at from pgq.lease")
    assert timedelta(0) <= started + timedelta(seconds=90.5) - before


def test_jobs_that_are_lost_are_told(conn: Conn) -> None:
    kept, lost = running(conn), running(conn)
    call(conn, "release", **hold_all(lost))
    answered = call(conn, "start", **hold_all(lost, kept), ran_seconds=[1.0, 2.0])
    assert answered == [{"id": lost["id"]}]


def test_each_handler_has_its_own_age(conn: Conn) -> None:
    one, two = running(conn), running(conn)
    call(conn, "start", **hold_all(two, one), ran_seconds=[20.0, 10.0])
    apart = value(conn, "select max(started_at) - min(started_at) from pgq.lease")
    assert apart == timedelta(seconds=10)


def overdue_in(conn: Conn) -> timedelta:
    left = value(conn, "select overdue_at - pgq._clock() from pgq.lease")
    assert isinstance(left, timedelta)
    return left


def test_overdue_is_two_leases_past_the_jobs_timeout(conn: Conn) -> None:
    lease = running(conn, timeout="100 seconds")
    call(conn, "start", **hold_all(lease), ran_seconds=[40.0])
    assert overdue_in(conn) == timedelta(seconds=100 + 2 * 15 - 40)


def test_timeout_of_a_job_without_one_is_the_queues(conn: Conn) -> None:
    lease = running(conn)
    call(conn, "start", **hold_all(lease), ran_seconds=[0.0])
    assert overdue_in(conn) == timedelta(minutes=10, seconds=30)
    call(conn, "configure_queue", queue="default", timeout="1 minute")
    call(conn, "start", **hold_all(lease), ran_seconds=[0.0])
    assert overdue_in(conn) == timedelta(minutes=1, seconds=30)


def test_attempt_that_outlived_its_timeout_is_ended_by_upkeep(conn: Conn) -> None:
    """Its worker lives and should have ended it."""
    worker = register(conn)
    lease = running(conn, worker=worker, timeout="1 second")
    call(conn, "start", **hold_all(lease), ran_seconds=[2.0])
    prolong(conn)
    move_clock(conn, "14 seconds")
    call(conn, "heartbeat", worker=worker, **hold_all(lease))
    move_clock(conn, "14 seconds")
    call(conn, "heartbeat", worker=worker, **hold_all(lease))
    upkeep_goes_on(conn)
    conn.execute("select pgq.reap()")
    assert state(conn, lease["id"]) == "running"
    move_clock(conn, "1 second")
    conn.execute("select pgq.reap()")
    assert state(conn, lease["id"]) == "retrying"
    (attempt,) = attempts(conn, lease["id"])
    assert (attempt["reason"], attempt["charged"]) == ("timeout", True)
    assert row(conn, "select attempt, crashes, suspect from pgq.delayed") == {
        "attempt": 1,
        "crashes": 0,
        "suspect": False,
    }


def test_attempt_that_was_never_started_is_not_overdue(conn: Conn) -> None:
    """It may wait in its worker for as long as that lives."""
    worker = register(conn)
    lease = running(conn, worker=worker, timeout="1 second")
    prolong(conn)
    conn.execute("update pgq.worker set expires_at = expires_at + interval '1 day'")
    move_clock(conn, "1 hour")
    conn.execute("select pgq.reap()")
    assert state(conn, lease["id"]) == "running"
