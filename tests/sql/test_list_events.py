from __future__ import annotations

import pytest

from sql.states import STATES, assert_refuses_unknown_jobs, crashed, job_in
from sql.support import (
    Conn,
    Row,
    answer,
    call,
    claim_one,
    hold,
    hold_all,
    insert,
    lose,
    prolong,
    register,
    running,
    value,
)


def events(conn: Conn, job: int) -> list[str]:
    return [each["event"] for each in call(conn, "list_events", id=job)]


def last(conn: Conn, job: int) -> Row:
    return call(conn, "list_events", id=job)[-1]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("scheduled", ["created", "scheduled", "next try"]),
        ("running", ["created", "claimed"]),
        ("retrying", ["created", "claimed", "failed", "next try"]),
        ("succeeded", ["created", "succeeded"]),
        ("cancelled", ["created", "cancelled"]),
        ("dead", ["created", "claimed", "failed", "died"]),
        ("ready", ["created"]),
    ],
)
def test_each_state_tells_how_it_came_about(conn: Conn, wanted: str, expected: list[str]) -> None:
    assert wanted in STATES
    job = job_in(conn, wanted)
    assert events(conn, job) == expected


def test_who_did_it_and_why_is_told(conn: Conn) -> None:
    worker = register(conn, name="w1")
    lease = running(conn, worker=worker)
    call(conn, "start", **hold_all(lease), ran_seconds=[0.0])
    call(conn, "fail", **hold(lease), error_class="Boom", message="no", retry_in="1 hour")
    _, claimed, started, failed, next_try = call(conn, "list_events", id=lease["id"])
    for each in (claimed, started, failed):
        assert (each["attempt"], each["worker"], each["worker_name"]) == (1, worker, "w1")
    assert started["event"] == "started"
    assert failed["detail"] == "Boom: no"
    assert (next_try["attempt"], next_try["worker"]) == (2, None)
    assert next_try["at"] == value(conn, "select run_at from pgq.delayed")


def test_attempts_follow_each_other(conn: Conn) -> None:
    (job,) = insert(conn, max_attempts=2)
    call(conn, "fail", **hold(claim_one(conn)), retry_in="0")
    answer(conn, "run_now", id=job)
    call(conn, "fail", **hold(claim_one(conn)), reason="timeout")
    told = call(conn, "list_events", id=job)
    assert [(each["event"], each["attempt"]) for each in told] == [
        ("created", None),
        ("claimed", 1),
        ("failed", 1),
        ("claimed", 2),
        ("timed out", 2),
        ("died", 2),
    ]
    assert told[-1]["detail"] == "timeout"
    assert [each["at"] for each in told] == sorted(each["at"] for each in told)


def test_succeeded_job_tells_when_it_started(conn: Conn) -> None:
    lease = running(conn)
    call(conn, "complete_many", **hold_all(lease), ran_seconds=[0.0])
    assert events(conn, lease["id"]) == ["created", "started", "succeeded"]
    assert last(conn, lease["id"])["attempt"] == 1


def test_request_to_cancel_is_told_while_it_runs(conn: Conn) -> None:
    lease = running(conn)
    answer(conn, "cancel", id=lease["id"])
    assert events(conn, lease["id"]) == ["created", "claimed", "cancel requested"]


def test_cancelling_is_told_once_with_its_reason(conn: Conn) -> None:
    lease = running(conn)
    answer(conn, "cancel", **hold(lease), reason="enough")
    assert events(conn, lease["id"]) == ["created", "claimed", "cancelled"]
    assert last(conn, lease["id"])["detail"] == "enough"
    answer(conn, "retry", id=lease["id"])
    assert events(conn, lease["id"]) == ["created", "claimed", "cancelled"]


def test_crashes_are_told(conn: Conn) -> None:
    job = crashed(conn)
    assert events(conn, job)[-2:] == ["crashed", "died"]


def test_loss_of_the_worker_is_told(conn: Conn) -> None:
    worker = register(conn)
    lease = running(conn, worker=worker)
    prolong(conn)
    lose(conn, worker)
    assert events(conn, lease["id"]) == ["created", "claimed", "lost"]


def test_release_is_told(conn: Conn) -> None:
    lease = running(conn)
    call(conn, "release", **hold_all(lease), begun=[True])
    assert events(conn, lease["id"])[-1] == "released"


def test_snooze_and_unknown_task_tell_the_next_try(conn: Conn) -> None:
    lease = running(conn)
    call(conn, "snooze", **hold(lease), delay="1 hour")
    assert last(conn, lease["id"])["event"] == "next try"
    assert last(conn, lease["id"])["detail"] == "as its handler asked"
    lease = running(conn)
    call(conn, "decline", **hold_all(lease))
    assert events(conn, lease["id"]) == ["created", "unknown task", "next try"]


def test_last_thousand_attempts_are_told(conn: Conn) -> None:
    lease = running(conn)
    call(conn, "release", **hold_all(lease), begun=[True])
    conn.execute(
        "insert into pgq.attempt select a.job_id, i, a.token, a.worker, a.executor, a.claimed_at,"
        " null, a.ended_at + i * interval '1 s', 'released', false"
        " from pgq.attempt a, generate_series(1, 1100) i"
    )
    told = [
        each for each in call(conn, "list_events", id=lease["id"]) if each["event"] == "released"
    ]
    assert (len(told), told[-1]["attempt"]) == (1000, 1100)


def test_unknown_job_is_refused(conn: Conn) -> None:
    assert_refuses_unknown_jobs(conn, "list_events")


def test_attempt_that_ran_longer_than_it_was_held_started_after_its_claim(conn: Conn) -> None:
    lease = running(conn, max_attempts=1)
    call(conn, "fail", **hold(lease), ran_seconds=3600.0)
    assert events(conn, lease["id"]) == ["created", "claimed", "started", "failed", "died"]


def test_attempts_of_one_moment_are_told_one_after_the_other(conn: Conn) -> None:
    (job,) = insert(conn, max_attempts=2)
    with conn.transaction():
        call(conn, "fail", **hold(claim_one(conn)), retry_in="0")
        answer(conn, "run_now", id=job)
        call(conn, "fail", **hold(claim_one(conn)))
    told = [(each["event"], each["attempt"]) for each in call(conn, "list_events", id=job)]
    assert told[1:5] == [("claimed", 1), ("failed", 1), ("claimed", 2), ("failed", 2)]
