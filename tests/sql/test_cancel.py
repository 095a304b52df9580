from __future__ import annotations

import uuid

import pytest

from sql.states import (
    STATES,
    assert_counters_are_right,
    assert_refuses_other_states,
    assert_refuses_unknown_jobs,
    holder,
    job_in,
)
from sql.support import (
    Conn,
    answer,
    attempts,
    call,
    claim,
    claim_one,
    connect,
    hold,
    in_background,
    insert,
    refused,
    register,
    rows,
    running,
    state,
    value,
    wait_for_lock,
)


@pytest.mark.parametrize("waiting", ["scheduled", "ready", "retrying"])
def test_waiting_job_is_cancelled_at_once(conn: Conn, waiting: str) -> None:
    job = job_in(conn, waiting, unique_key="k")
    assert answer(conn, "cancel", id=job) == "cancelled"
    assert state(conn, job) == "cancelled"
    assert holder(conn, "k") is None
    assert claim(conn, limits=10) == []
    assert_counters_are_right(conn)


@pytest.mark.parametrize("wrong", ["succeeded", "dead"])
def test_ended_job_is_not_cancelled(conn: Conn, wrong: str) -> None:
    assert_refuses_other_states(conn, "cancel", wrong)


def test_unknown_job_is_refused(conn: Conn) -> None:
    assert_refuses_unknown_jobs(conn, "cancel")


def test_cancelling_again_is_no_error(conn: Conn) -> None:
    job = job_in(conn, "cancelled")
    assert answer(conn, "cancel", id=job) == "cancelled"
    assert_counters_are_right(conn)


def test_running_job_is_asked_once_however_often_it_is_cancelled(conn: Conn) -> None:
    lease = running(conn)
    assert [answer(conn, "cancel", id=lease["id"]) for _ in range(3)] == ["requested"] * 3
    asked = rows(conn, "select c.job_id, c.token from pgq.cancel_request c")
    assert asked == [{"job_id": lease["id"], "token": lease["token"]}]
    assert state(conn, lease["id"]) == "running"


def test_executor_of_a_running_job_is_notified(conn: Conn, dsn: str) -> None:
    worker = register(conn)
    lease = running(conn, worker=worker)
    with connect(dsn) as listener:
        listener.execute(f"listen pgq_{worker}_1")
        answer(conn, "cancel", id=lease["id"])
        (told,) = list(listener.notifies(timeout=10, stop_after=1))
    assert told.payload == f"c {lease['id']} {lease['token']}"


def test_transaction_that_wakes_nobody_can_be_prepared(conn: Conn, dsn: str) -> None:
    worker = register(conn)
    lease = running(conn, worker=worker)
    with connect(dsn, autocommit=False) as session:
        session.execute("set local pgq.wake = 'off'")
        answer(session, "cancel", id=lease["id"])
        session.execute("prepare transaction 'cancel'")
    conn.execute("commit prepared 'cancel'")
    (beat,) = call(
        conn, "heartbeat", worker=worker, ids=[lease["id"]], tokens=[lease["token"]], busy=1
    )
    assert beat["cancelled"] == [lease["id"]]


def test_holder_ends_its_job_as_cancelled(conn: Conn) -> None:
    lease = running(conn, unique_key="k")
    answer(conn, "cancel", id=lease["id"])
    assert answer(conn, "cancel", **hold(lease), reason="no longer needed") == "cancelled"
    assert state(conn, lease["id"]) == "cancelled"
    (attempt,) = attempts(conn, lease["id"])
    assert (attempt["reason"], attempt["charged"]) == ("cancelled", False)
    assert attempt["message"] == "no longer needed"
    assert rows(conn, "select from pgq.cancel_request") == []
    assert holder(conn, "k") is None
    assert_counters_are_right(conn)


def test_holder_may_repeat_it(conn: Conn) -> None:
    lease = running(conn)
    assert [answer(conn, "cancel", **hold(lease)) for _ in range(2)] == ["cancelled"] * 2
    assert len(attempts(conn, lease["id"])) == 1
    assert_counters_are_right(conn)


@pytest.mark.parametrize("wanted", STATES)
def test_another_token_is_refused_in_every_state(conn: Conn, wanted: str) -> None:
    job = job_in(conn, wanted)
    with refused("PQ001") as said:
        answer(conn, "cancel", id=job, token=uuid.uuid4())
    assert str(job) in said.message
    assert state(conn, job) == wanted


def test_token_that_completed_a_job_does_not_cancel_it(conn: Conn) -> None:
    lease = running(conn)
    answer(conn, "complete", **hold(lease))
    with refused("PQ001"):
        answer(conn, "cancel", **hold(lease))


@pytest.mark.parametrize("waiting", ["scheduled", "ready", "retrying"])
def test_job_that_somebody_is_moving_is_busy_without_waiting(
    conn: Conn, dsn: str, waiting: str
) -> None:
    job = job_in(conn, waiting)
    with connect(dsn, autocommit=False) as other:
        answer(other, "cancel", id=job)
        conn.execute("set lock_timeout = '1ms'")
        with refused("PQ007") as said:
            answer(conn, "cancel", id=job)
        assert str(job) in said.message
        other.rollback()
    assert answer(conn, "cancel", id=job) == "cancelled"


def test_job_that_is_being_claimed_is_busy(conn: Conn, dsn: str) -> None:
    (job,) = insert(conn)
    with connect(dsn, autocommit=False) as other:
        claim_one(other)
        with refused("PQ007"):
            answer(conn, "cancel", id=job)
        other.commit()
    assert answer(conn, "cancel", id=job) == "requested"


def test_job_that_is_being_put_back_is_busy(conn: Conn, dsn: str) -> None:
    lease = running(conn)
    with connect(dsn, autocommit=False) as other:
        call(other, "fail", **hold(lease))
        with refused("PQ007"):
            answer(conn, "cancel", id=lease["id"])
        other.commit()
    assert answer(conn, "cancel", id=lease["id"]) == "cancelled"


def test_attempt_that_fails_while_it_is_being_cancelled_waits_for_the_request(
    conn: Conn, dsn: str
) -> None:
    lease = running(conn)
    with connect(dsn) as holder_of_it, connect(dsn, autocommit=False) as other:
        assert answer(other, "cancel", id=lease["id"]) == "requested"
        with in_background(lambda: call(holder_of_it, "fail", **hold(lease))) as failure:
            wait_for_lock(conn, holder_of_it)
            other.commit()
        assert failure.result()[0]["state"] == "cancelled"


def test_two_may_ask_at_the_same_time(conn: Conn, dsn: str) -> None:
    lease = running(conn)
    with connect(dsn, autocommit=False) as other:
        answer(other, "cancel", id=lease["id"])
        conn.execute("set lock_timeout = '1ms'")
        assert answer(conn, "cancel", id=lease["id"]) == "requested"
        other.commit()


def test_attempts_that_were_charged_are_kept(conn: Conn) -> None:
    job = job_in(conn, "retrying")
    answer(conn, "cancel", id=job)
    assert value(conn, "select attempt from pgq.job_status where id = %s", [job]) == 1
