"""fail_many: batches, with a row for each job."""

from __future__ import annotations

import uuid
from datetime import timedelta

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


def test_bad_argument_leaves_every_job_leased(conn: Conn) -> None:
    insert(conn, 2)
    leases = claim(conn, limits=2)
    with refused("PQ005") as said:
        call(conn, "fail_many", **hold_all(*leases), reasons=["error", "crashed"])
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
