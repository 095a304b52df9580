"""fail_many: batches, with a row for each job."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest

from sql.support import (
    Conn,
    attempts,
    call,
    claim,
    connect,
    hold_all,
    in_background,
    insert,
    refused,
    running,
    state,
    value,
    wait_for_lock,
)


def test_each_job_has_its_own_row(conn: Conn) -> None:
    retried, permanent, cancelled, lost, repeated = [running(conn) for _ in range(5)]
    call(conn, "cancel", id=cancelled["id"])
    call(conn, "release", **hold_all(lost))
    call(conn, "fail_many", **hold_all(repeated), retry_ins=["1 hour"])
    found = call(
        conn,
        "fail_many",
        **hold_all(lost, repeated, permanent, retried, cancelled),
        permanents=[False, False, True, None, False],
    )
    assert {each["id"]: each["state"] for each in found} == {
        retried["id"]: "retrying",
        permanent["id"]: "dead",
        cancelled["id"]: "cancelled",
        lost["id"]: "lost",
        repeated["id"]: "retrying",
    }
    assert state(conn, lost["id"]) == "ready"
    assert [each["id"] for each in found if each["run_at"]] == [retried["id"], repeated["id"]]


def test_each_job_gets_its_own_words(conn: Conn) -> None:
    insert(conn, 2)
    one, two = claim(conn, limits=2)
    call(
        conn,
        "fail_many",
        **hold_all(two, one),
        error_classes=["Two", "One"],
        messages=["two", "one"],
        tracebacks=["2", None],
        reasons=["timeout", None],
        ran_seconds=[2.0, None],
    )
    (first,), (second,) = attempts(conn, one["id"]), attempts(conn, two["id"])
    assert (first["error_class"], first["message"], first["traceback"]) == ("One", "one", None)
    assert (second["error_class"], second["message"], second["traceback"]) == ("Two", "two", "2")
    assert (first["reason"], second["reason"]) == ("error", "timeout")
    assert first["started_at"] is None
    assert second["ended_at"] - second["started_at"] == timedelta(seconds=2)


def test_each_job_gets_its_own_delay(conn: Conn) -> None:
    insert(conn, 2)
    leases = claim(conn, limits=2)
    before = value(conn, "select clock_timestamp()")
    one, two = call(conn, "fail_many", **hold_all(*leases), retry_ins=["1 day", None])
    assert one["run_at"] - before >= timedelta(days=1)
    assert two["run_at"] - before < timedelta(hours=1)


def test_each_job_has_its_own_policy(conn: Conn) -> None:
    call(conn, "configure", backoff_base="10 days", backoff_max="10 days")
    call(conn, "configure_queue", queue="strict", max_attempts=1)
    call(conn, "configure_queue", queue="prompt", backoff_base="0")
    leases = [
        running(conn, queue="strict"),
        running(conn, queue="strict", max_attempts=2),
        running(conn, queue="prompt"),
        running(conn, queue="prompt", backoff_base="10 days"),
        running(conn),
    ]
    before = value(conn, "select clock_timestamp()")
    found = call(conn, "fail_many", **hold_all(*leases))
    assert [each["state"] for each in found] == ["dead"] + ["retrying"] * 4
    delays = [(each["run_at"] - before).total_seconds() for each in found[1:]]
    assert delays[1] < 20
    # Of 10 days at random: under 20 s once in 40,000 runs.
    assert min(delays[0], delays[2], delays[3]) > 20


def test_rows_come_in_the_order_of_ids(conn: Conn) -> None:
    retried, lost, dead, repeated, cancelled = [running(conn) for _ in range(5)]
    call(conn, "cancel", id=cancelled["id"])
    call(conn, "release", **hold_all(lost))
    call(conn, "fail_many", **hold_all(repeated))
    found = call(
        conn,
        "fail_many",
        **hold_all(cancelled, repeated, dead, lost, retried),
        permanents=[False, False, True, False, False],
    )
    assert [(each["id"], each["state"]) for each in found] == [
        (retried["id"], "retrying"),
        (lost["id"], "lost"),
        (dead["id"], "dead"),
        (repeated["id"], "retrying"),
        (cancelled["id"], "cancelled"),
    ]


def test_job_named_twice_fails_once(conn: Conn) -> None:
    lease = running(conn)
    one, two = call(conn, "fail_many", **hold_all(lease, lease), messages=["first", "second"])
    assert one == two
    assert one["state"] == state(conn, lease["id"]) == "retrying"
    (attempt,) = attempts(conn, lease["id"])
    assert attempt["message"] == "first"


def test_job_named_with_a_stale_token_too_fails_by_its_own(conn: Conn) -> None:
    lease = running(conn)
    stale = lease | {"token": uuid.uuid4()}
    found = call(
        conn,
        "fail_many",
        **hold_all(stale, lease, stale),
        permanents=[True, False, True],
        messages=["stale", "own", "stale"],
    )
    assert sorted(each["state"] for each in found) == ["lost", "lost", "retrying"]
    (attempt,) = attempts(conn, lease["id"])
    assert attempt["message"] == "own"


def test_dead_letters_of_a_batch_keep_their_own_words(conn: Conn) -> None:
    leases = [running(conn, task=f"t{n}", unique_key=f"k{n}") for n in range(3)]
    call(
        conn,
        "fail_many",
        **hold_all(*leases),
        permanents=[True, False, True],
        error_classes=["A", "B", "C"],
        messages=["one", "two", None],
        reasons=["error", "error", "timeout"],
    )
    found = conn.execute(
        "select job_id, reason, error_class, message from pgq.dead order by job_id"
    ).fetchall()
    assert found == [
        (leases[0]["id"], "error", "A", "one"),
        (leases[2]["id"], "timeout", "C", None),
    ]
    assert value(conn, "select count(distinct fingerprint) from pgq.dead") == 2
    assert value(conn, "select array_agg(key) from pgq.unique_key") == ["k1"]


def test_what_failed_is_counted_by_queue(conn: Conn) -> None:
    leases = [running(conn, queue=queue, priority=n) for n, queue in enumerate("aaabb")]
    conn.execute("delete from pgq.tally")
    call(
        conn,
        "fail_many",
        **hold_all(*leases),
        permanents=[True, False, False, False, False],
        reasons=["error", "error", "timeout", "timeout", "timeout"],
    )
    found = conn.execute("select queue, metric, label, n from pgq.tally").fetchall()
    assert sorted(found) == [
        ("a", "attempt", "error", 2),
        ("a", "attempt", "timeout", 1),
        ("a", "dead", "error", 1),
        ("a", "transition", "running>dead", 1),
        ("a", "transition", "running>retrying", 2),
        ("b", "attempt", "timeout", 2),
        ("b", "transition", "running>retrying", 2),
    ]


def test_attempt_that_was_to_be_cancelled_says_when_it_began(conn: Conn) -> None:
    lease = running(conn)
    call(conn, "cancel", id=lease["id"])
    call(conn, "fail_many", **hold_all(lease), ran_seconds=[3.0])
    ended = value(conn, "select finished_at - started_at from pgq.finished")
    assert ended == timedelta(seconds=3)


@pytest.mark.parametrize(
    "arguments",
    [{"reasons": ["error", "crashed"]}, {"retry_ins": ["1 hour", "-1 hour"]}],
    ids=str,
)
def test_bad_argument_leaves_every_job_leased(conn: Conn, arguments: dict[str, Any]) -> None:
    insert(conn, 2)
    leases = claim(conn, limits=2)
    with refused("PQ005") as said:
        call(conn, "fail_many", **hold_all(*leases), **arguments)
    assert str(leases[1]["id"]) in said.message
    assert {state(conn, each["id"]) for each in leases} == {"running"}


def test_unknown_job_is_lost(conn: Conn) -> None:
    (found,) = call(conn, "fail_many", ids=[7], tokens=[uuid.uuid4()])
    assert found == {"id": 7, "state": "lost", "run_at": None}


def test_batches_in_opposite_order_do_not_deadlock(conn: Conn, dsn: str) -> None:
    insert(conn, 20)
    leases = claim(conn, limits=20)
    with connect(dsn, autocommit=False) as holder, connect(dsn) as one, connect(dsn) as two:
        holder.execute("select from pgq.lease where job_id = %s for update", [leases[9]["id"]])
        with (
            in_background(lambda: call(one, "fail_many", **hold_all(*leases))) as first,
            in_background(lambda: call(two, "fail_many", **hold_all(*reversed(leases)))) as second,
        ):
            wait_for_lock(conn, one)
            wait_for_lock(conn, two)
            holder.rollback()
            found = first.result() + second.result()
    assert {each["state"] for each in found} == {"retrying"}
    assert value(conn, "select count(*) from pgq.attempt") == 20
