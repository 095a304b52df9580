"""decline: jobs whose task a worker does not know."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sql.support import (
    Conn,
    Row,
    answer,
    attempts,
    call,
    claim_one,
    hold,
    hold_all,
    insert,
    row,
    running,
    state,
    value,
)


def decline(conn: Conn, lease: Row) -> Row:
    (answered,) = call(conn, "decline", **hold_all(lease))
    return answered


def age(conn: Conn, interval: str) -> None:
    """Nobody has known the task for so long."""
    conn.execute(
        "update pgq.lease set unknown_since = clock_timestamp() - %s::interval", [interval]
    )


def again(conn: Conn) -> Row:
    conn.execute("update pgq.delayed set run_at = now() - interval '1 second'")
    answer(conn, "promote")
    return claim_one(conn)


def test_declined_job_is_scheduled(conn: Conn) -> None:
    lease = running(conn)
    answered = decline(conn, lease)
    assert (answered["id"], answered["state"]) == (lease["id"], "scheduled")
    assert row(conn, "select why, run_at from pgq.delayed") == {
        "why": "unknown_task",
        "run_at": answered["run_at"],
    }


def test_decline_costs_no_attempt(conn: Conn) -> None:
    lease = running(conn, max_attempts=1)
    for _ in range(5):
        decline(conn, lease)
        lease = again(conn)
        assert lease["attempt"] == 1
    assert attempts(conn, lease["id"]) == []


@pytest.mark.parametrize(
    ("waited", "delay"), [(None, 1), ("1 second", 1), ("20 seconds", 10), ("59 minutes", 60)]
)
def test_delay_grows_up_to_a_minute(conn: Conn, waited: str | None, delay: float) -> None:
    lease = running(conn)
    if waited:
        age(conn, waited)
    before = value(conn, "select clock_timestamp()")
    due = decline(conn, lease)["run_at"]
    spent = value(conn, "select clock_timestamp()") - before
    late = due - before - timedelta(seconds=delay)
    assert timedelta(0) <= late <= spent * 2 + timedelta(seconds=1)


def test_task_is_unknown_since_it_was_first_declined(conn: Conn) -> None:
    decline(conn, running(conn))
    since = value(conn, "select unknown_since from pgq.delayed")
    assert since is not None
    decline(conn, again(conn))
    assert value(conn, "select unknown_since from pgq.delayed") == since


def test_job_of_a_task_unknown_for_an_hour_is_dead(conn: Conn) -> None:
    lease = running(conn, task="renamed", unique_key="k")
    age(conn, "61 minutes")
    assert decline(conn, lease) == {"id": lease["id"], "state": "dead", "run_at": None}
    dead = row(conn, "select * from pgq.dead")
    assert (dead["reason"], dead["attempt"]) == ("unknown task", 0)
    assert "renamed" in dead["message"]
    (attempt,) = attempts(conn, lease["id"])
    assert (attempt["reason"], attempt["charged"]) == ("unknown task", False)
    assert len(insert(conn, unique_key="k")) == 1


def test_hour_is_a_setting_of_the_queue(conn: Conn) -> None:
    call(conn, "configure_queue", queue="default", unknown_task_after="2 hours")
    lease = running(conn)
    age(conn, "61 minutes")
    assert decline(conn, lease)["state"] == "scheduled"
    lease = again(conn)
    age(conn, "121 minutes")
    assert decline(conn, lease)["state"] == "dead"


def test_hour_begins_anew_once_a_worker_knew_the_task(conn: Conn) -> None:
    decline(conn, running(conn))
    call(conn, "fail", **hold(again(conn)))
    assert value(conn, "select unknown_since from pgq.delayed") is None


def test_release_does_not_begin_the_hour_anew(conn: Conn) -> None:
    decline(conn, running(conn))
    call(conn, "release", **hold_all(again(conn)))
    assert value(conn, "select unknown_since from pgq.ready") is not None


def test_each_job_has_its_own_row(conn: Conn) -> None:
    lost, cancelled, declined = [running(conn) for _ in range(3)]
    call(conn, "release", **hold_all(lost))
    call(conn, "cancel", id=cancelled["id"])
    answered = call(conn, "decline", **hold_all(declined, lost, cancelled))
    assert {each["id"]: each["state"] for each in answered} == {
        lost["id"]: "lost",
        cancelled["id"]: "cancelled",
        declined["id"]: "scheduled",
    }
    assert [each["id"] for each in answered if each["run_at"]] == [declined["id"]]
    assert state(conn, cancelled["id"]) == "cancelled"


def test_job_of_a_task_of_ours_waits_on_however_long(conn: Conn) -> None:
    """Until there is a worker that is allowed to run it."""
    lease = running(conn, task="pgq.command")
    age(conn, "100 days")
    assert decline(conn, lease)["state"] == "scheduled"
    assert state(conn, lease["id"]) == "scheduled"


@pytest.mark.parametrize("task", ["pgq", "pgqx.command", "my.pgq.command"])
def test_name_that_only_looks_like_ours_ages(conn: Conn, task: str) -> None:
    lease = running(conn, task=task)
    age(conn, "61 minutes")
    assert decline(conn, lease)["state"] == "dead"
