"""snooze: a running job that is put off."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sql.support import (
    Conn,
    answer,
    attempts,
    call,
    claim_one,
    hold,
    insert,
    refused,
    row,
    running,
    state,
    value,
)


def test_snoozed_job_is_scheduled(conn: Conn) -> None:
    lease = running(conn)
    before = value(conn, "select clock_timestamp()")
    due = answer(conn, "snooze", **hold(lease), delay="1 hour")
    after = value(conn, "select clock_timestamp()")
    assert before <= due - timedelta(hours=1) <= after
    assert state(conn, lease["id"]) == "scheduled"
    assert row(conn, "select why, run_at from pgq.delayed") == {"why": "snooze", "run_at": due}


def test_snooze_costs_no_attempt(conn: Conn) -> None:
    lease = running(conn, max_attempts=1)
    for _ in range(5):
        answer(conn, "snooze", **hold(lease), delay="0")
        answer(conn, "promote")
        lease = claim_one(conn)
        assert lease["attempt"] == 1
    assert attempts(conn, lease["id"]) == []


def test_snooze_keeps_the_unique_key(conn: Conn) -> None:
    answer(conn, "snooze", **hold(running(conn, unique_key="k")), delay="1 hour")
    assert insert(conn, unique_key="k") == []


def test_snooze_keeps_crashes_and_suspicion(conn: Conn) -> None:
    insert(conn)
    conn.execute("update pgq.ready set crashes = 2, suspect = true, attempt = 3")
    answer(conn, "snooze", **hold(claim_one(conn)), delay="1 hour")
    kept = row(conn, "select attempt, crashes, suspect from pgq.delayed")
    assert kept == {"attempt": 3, "crashes": 2, "suspect": True}


def test_job_that_was_to_be_cancelled_is_cancelled(conn: Conn) -> None:
    lease = running(conn)
    call(conn, "cancel", id=lease["id"])
    assert answer(conn, "snooze", **hold(lease), delay="1 hour") is None
    assert state(conn, lease["id"]) == "cancelled"


@pytest.mark.parametrize("delay", [None, "-1 second"])
def test_bad_delay_leaves_the_job_leased(conn: Conn, delay: str | None) -> None:
    lease = running(conn)
    with refused("PQ005") as said:
        answer(conn, "snooze", **hold(lease), delay=delay)
    assert said.detail
    assert said.hint
    assert state(conn, lease["id"]) == "running"
