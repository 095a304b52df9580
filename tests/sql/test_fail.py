"""fail: what becomes of an attempt that ended in an error or at its timeout."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from sql.support import (
    Conn,
    Row,
    answer,
    attempts,
    call,
    claim_one,
    column,
    hold,
    hold_all,
    insert,
    refused,
    register,
    row,
    rows,
    running,
    state,
    value,
)


def fail(conn: Conn, lease: Row, **arguments: Any) -> Row:
    (answered,) = call(conn, "fail", **hold(lease), **arguments)
    return answered


def again(conn: Conn) -> Row:
    """The attempt that follows a failed one, whose time has come."""
    conn.execute("update pgq.delayed set run_at = now() - interval '1 second'")
    answer(conn, "promote")
    return claim_one(conn)


def test_failed_job_is_retried(conn: Conn) -> None:
    lease = running(conn)
    answered = fail(conn, lease)
    assert answered["state"] == state(conn, lease["id"]) == "retrying"
    assert answered["run_at"] == value(conn, "select run_at from pgq.delayed")
    following = again(conn)
    assert (following["id"], following["attempt"]) == (lease["id"], 2)


def test_attempt_that_failed_is_written_down(conn: Conn) -> None:
    worker = register(conn)
    insert(conn)
    lease = claim_one(conn, worker=worker, executor=4)
    fail(
        conn,
        lease,
        error_class="ValueError",
        message="no",
        traceback="line 1",
        ran_seconds=60.0,
    )
    (attempt,) = attempts(conn, lease["id"])
    assert (attempt["attempt"], attempt["reason"], attempt["charged"]) == (1, "error", True)
    assert (attempt["worker"], attempt["executor"], attempt["token"]) == (
        worker,
        4,
        lease["token"],
    )
    assert (attempt["error_class"], attempt["message"], attempt["traceback"]) == (
        "ValueError",
        "no",
        "line 1",
    )
    assert attempt["claimed_at"] == lease["claimed_at"]
    assert attempt["ended_at"] - attempt["started_at"] == timedelta(seconds=60)


def test_timeout_is_an_attempt_too(conn: Conn) -> None:
    lease = running(conn, max_attempts=1)
    assert fail(conn, lease, reason="timeout")["state"] == "dead"
    assert value(conn, "select reason from pgq.dead") == "timeout"
    assert attempts(conn, lease["id"])[0]["reason"] == "timeout"


@pytest.mark.parametrize(
    ("attempt", "base", "cap", "most"),
    [
        (1, "1 second", "1 hour", 1),
        (3, "1 second", "1 hour", 4),
        (10, "1 second", "1 hour", 512),
        (13, "1 second", "1 hour", 3600),
        (30_000, "1 second", "1 hour", 3600),
        (2, "10 milliseconds", "1 hour", 0.02),
        (5, "1 hour", "2 minutes", 120),
        (5, "0", "1 hour", 0),
        (5, "1 hour", "0", 0),
    ],
)
def test_delay_is_anywhere_up_to_the_backoff(
    conn: Conn, attempt: int, base: str, cap: str, most: float
) -> None:
    count = 400
    call(conn, "configure_queue", queue="default", max_attempts=32767)
    insert(conn, count, backoff_base=base, backoff_max=cap)
    conn.execute("update pgq.ready set attempt = %s - 1", [attempt])
    leases = call(
        conn, "claim", worker=0, executor=1, token=row(conn, "select gen_random_uuid() as t")["t"],
        queues=["default"], limits=[count],
    )  # fmt: skip
    conn.execute("begin")
    failed = call(conn, "fail_many", **hold_all(*leases))
    # Each delay counts from a moment in this transaction.
    begun, ended = row(conn, "select now() as a, clock_timestamp() as b").values()
    conn.execute("commit")
    slack = (ended - begun).total_seconds()
    delays = [(each["run_at"] - begun).total_seconds() for each in failed]
    assert all(each["state"] == "retrying" for each in failed)
    assert all(0 <= delay <= most + slack for delay in delays)
    if most >= 60:
        # Uniform: this fails once in 10^15 runs.
        assert min(delays) < most * 0.1
        assert max(delays) > most * 0.9
        assert 0.35 < sum(delays) / count / most < 0.65


def spread(conn: Conn) -> float:
    """The largest of a hundred delays, in seconds."""
    insert(conn, 100)
    leases = [claim_one(conn) for _ in range(100)]
    failed = call(conn, "fail_many", **hold_all(*leases))
    clock = value(conn, "select clock_timestamp()")
    conn.execute("delete from pgq.delayed")
    return max(float((each["run_at"] - clock).total_seconds()) for each in failed)


def test_backoff_of_a_job_without_one_is_the_queues(conn: Conn) -> None:
    assert spread(conn) <= 1
    call(conn, "configure", backoff_base="1000 seconds")
    assert 500 < spread(conn) <= 1000
    call(conn, "configure_queue", queue="default", backoff_base="10 days", backoff_max="5 days")
    assert 200_000 < spread(conn) <= 432_000


def test_retry_in_overrides_the_backoff(conn: Conn) -> None:
    lease = running(conn, backoff_base="1 hour", backoff_max="1 hour")
    before = value(conn, "select clock_timestamp()")
    answered = fail(conn, lease, retry_in="3 days")
    after = value(conn, "select clock_timestamp()")
    assert before <= answered["run_at"] - timedelta(days=3) <= after


def test_retry_in_0_is_due_at_once(conn: Conn) -> None:
    lease = running(conn)
    fail(conn, lease, retry_in="0")
    answer(conn, "promote")
    assert claim_one(conn)["id"] == lease["id"]


def test_permanent_error_goes_straight_to_dead(conn: Conn) -> None:
    lease = running(conn)
    answered = fail(conn, lease, permanent=True, error_class="ValueError", message="no 42")
    assert answered == {"state": "dead", "run_at": None}
    dead = row(conn, "select * from pgq.dead")
    assert (dead["reason"], dead["error_class"], dead["message"]) == (
        "error",
        "ValueError",
        "no 42",
    )
    assert (dead["attempt"], dead["crashes"]) == (1, 0)


def test_job_is_dead_when_its_attempts_are_used_up(conn: Conn) -> None:
    lease = running(conn, max_attempts=3)
    assert fail(conn, lease)["state"] == "retrying"
    assert fail(conn, again(conn))["state"] == "retrying"
    assert fail(conn, again(conn))["state"] == "dead"
    assert [each["attempt"] for each in attempts(conn, lease["id"])] == [1, 2, 3]


def test_retry_in_adds_no_attempt(conn: Conn) -> None:
    assert fail(conn, running(conn, max_attempts=1), retry_in="1 second")["state"] == "dead"


def test_attempts_of_a_job_without_a_number_are_the_queues(conn: Conn) -> None:
    call(conn, "configure_queue", queue="default", max_attempts=1)
    assert fail(conn, running(conn))["state"] == "dead"
    call(conn, "configure_queue", queue="default", reset=["max_attempts"])
    assert fail(conn, running(conn))["state"] == "retrying"
    call(conn, "configure", max_attempts=1)
    assert fail(conn, running(conn))["state"] == "dead"


def test_repeated_fail_tells_how_the_job_stands(conn: Conn) -> None:
    lease = running(conn)
    first = fail(conn, lease)
    assert fail(conn, lease) == first
    assert len(attempts(conn, lease["id"])) == 1


def test_repeated_fail_of_a_dead_job_says_dead(conn: Conn) -> None:
    lease = running(conn)
    fail(conn, lease, permanent=True)
    assert fail(conn, lease)["state"] == "dead"
    assert value(conn, "select count(*) from pgq.dead") == 1


def test_repeated_fail_does_not_end_the_next_attempt(conn: Conn) -> None:
    lease = running(conn)
    fail(conn, lease)
    following = again(conn)
    fail(conn, lease)
    assert state(conn, lease["id"]) == "running"
    call(conn, "complete", **hold(following))


def test_unique_key_is_kept_while_retrying(conn: Conn) -> None:
    fail(conn, running(conn, unique_key="k"))
    assert insert(conn, unique_key="k") == []
    call(conn, "complete", **hold(again(conn)))
    assert len(insert(conn, unique_key="k")) == 1


def test_unique_key_is_freed_on_death(conn: Conn) -> None:
    fail(conn, running(conn, unique_key="k"), permanent=True)
    assert len(insert(conn, unique_key="k")) == 1


def test_job_that_was_to_be_cancelled_is_not_retried(conn: Conn) -> None:
    lease = running(conn, unique_key="k")
    call(conn, "cancel", id=lease["id"])
    assert fail(conn, lease)["state"] == state(conn, lease["id"]) == "cancelled"
    assert value(conn, "select count(*) from pgq.cancel_request") == 0
    assert value(conn, "select array_agg(reason) from pgq.attempt") == ["error"]
    assert value(conn, "select count(*) from pgq.unique_key") == 0


@pytest.mark.parametrize(
    "arguments",
    [
        {"reason": "lost"},
        {"reason": "crashed"},
        {"reason": "whatever"},
        {"reason": ""},
        {"retry_in": "-1 second"},
    ],
    ids=str,
)
def test_bad_argument_leaves_the_job_leased(conn: Conn, arguments: dict[str, Any]) -> None:
    lease = running(conn)
    with refused("PQ005") as said:
        fail(conn, lease, **arguments)
    assert said.detail
    assert said.hint
    assert state(conn, lease["id"]) == "running"


def fingerprint(conn: Conn, message: str | None, **arguments: Any) -> str:
    task = arguments.pop("task", "echo")
    fail(
        conn,
        running(conn, task=task),
        permanent=True,
        message=message,
        **({"error_class": "ValueError"} | arguments),
    )
    return str(column(conn, "select fingerprint from pgq.dead order by job_id")[-1])


def test_errors_that_differ_in_digits_have_the_same_fingerprint(conn: Conn) -> None:
    one = fingerprint(conn, "row 17 of 2000: no such user 5")
    assert one == fingerprint(conn, "row 9 of 10: no such user 123456")
    assert len(one) == 16


def test_other_errors_have_another_fingerprint(conn: Conn) -> None:
    found = {
        fingerprint(conn, "no such user 5"),
        fingerprint(conn, "no such user five"),
        fingerprint(conn, "no such user 5", error_class="KeyError"),
        fingerprint(conn, "no such user 5", reason="timeout"),
        fingerprint(conn, "no such user 5", task="other"),
        fingerprint(conn, None),
    }
    assert len(found) == 6


def test_long_words_of_an_error_are_cut(conn: Conn) -> None:
    lease = running(conn)
    long = "é" * 300_000
    fail(conn, lease, error_class=long, message=long, traceback=long, permanent=True)
    (attempt,) = attempts(conn, lease["id"])
    assert len(attempt["error_class"]) == 200
    assert len(attempt["message"]) == 10_000
    assert len(attempt["traceback"]) == 100_000
    (dead,) = rows(conn, "select * from pgq.dead")
    assert len(dead["message"]) == 10_000


def test_failure_keeps_crashes_and_suspicion(conn: Conn) -> None:
    insert(conn)
    conn.execute("update pgq.ready set crashes = 2, suspect = true")
    fail(conn, claim_one(conn))
    kept = row(conn, "select attempt, crashes, suspect from pgq.delayed")
    assert kept == {"attempt": 1, "crashes": 2, "suspect": True}
