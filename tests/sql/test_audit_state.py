"""audit_state: a net under everything that finds and mends what cannot happen."""

from __future__ import annotations

import pytest

from sql.support import (
    Conn,
    answer,
    attempts,
    call,
    claim,
    claim_one,
    connect,
    day_of_ids,
    hold,
    hold_all,
    insert,
    lose,
    register,
    repeat_sweep,
    rows,
    running,
    settle,
    state,
    value,
)


def audit(conn: Conn) -> int:
    repeat_sweep(conn, "audit_counters")
    return int(answer(conn, "audit_state"))


def repaired(conn: Conn) -> dict[str, int]:
    answer(conn, "fold")
    found = conn.execute(
        "select label, sum(n) from pgq.counter where metric = 'repaired' group by 1"
    )
    return dict(found.fetchall())


def test_audit_finds_nothing_in_normal_operation(conn: Conn) -> None:
    insert(conn, 5, queue="a", unique_key=None)
    insert(conn, queue="a", unique_key="k")
    insert(conn, 5, queue="b", run_at="2999-01-01")
    insert(conn, 12)
    for _ in range(2):
        worker = register(conn)
        running(conn, worker=worker, queue="lost")
        lose(conn, worker)
        claim_one(conn, queues=["lost"], worker=register(conn), suspects=True)
    leases = claim(conn, limits=11)
    call(conn, "complete", **hold(leases[0]))
    call(conn, "fail", **hold(leases[1]))
    call(conn, "fail", **hold(leases[2]), permanent=True)
    call(conn, "fail", **hold(leases[3]), permanent=True)
    call(conn, "snooze", **hold(leases[4]), delay="1 hour")
    call(conn, "decline", **hold_all(leases[5]))
    call(conn, "release", **hold_all(leases[6]))
    call(conn, "cancel", **hold(leases[7]))
    call(conn, "cancel", id=leases[6]["id"])
    call(conn, "release_executor", worker=0, executor=1, begun=[leases[8]["id"]])
    call(conn, "retry", id=leases[2]["id"])
    call(conn, "purge", ids=[leases[3]["id"]])
    (delayed,) = insert(conn, run_at="2999-01-01")
    call(conn, "run_now", id=delayed)
    (edited,) = insert(conn)
    call(conn, "edit", id=edited, priority=1)
    call(conn, "edit", id=edited, run_at="2999-01-01")
    conn.execute("update pgq.delayed set run_at = now() where why = 'retry'")
    for verb in ("promote", "reap", "settle", "fold", "prune"):
        answer(conn, verb)
    assert audit(conn) == 0
    settle(conn)
    assert audit(conn) == 0
    assert repaired(conn) == {}


@pytest.mark.parametrize(
    ("run_at", "expected"), [(None, "ready"), ("2999-01-01", "scheduled"), ("1999-01-01", "ready")]
)
def test_job_whose_insert_fired_no_trigger_is_found(
    conn: Conn, run_at: str | None, expected: str
) -> None:
    conn.execute("set session_replication_role = replica")
    (job,) = insert(conn, run_at=run_at, queue="new")
    conn.execute("reset session_replication_role")
    assert answer(conn, "audit_state") >= 1
    assert state(conn, job) == expected
    assert repaired(conn)["no state"] == 1
    assert audit(conn) == 0


def test_job_whose_state_row_somebody_deleted_is_found(conn: Conn) -> None:
    (job,) = insert(conn)
    conn.execute("delete from pgq.ready")
    audit(conn)
    assert claim_one(conn)["id"] == job
    assert audit(conn) == 0


def test_every_slice_is_looked_at(conn: Conn) -> None:
    jobs = insert(conn, 20)
    conn.execute("delete from pgq.ready where job_id = any (%s)", [[jobs[2], jobs[11], jobs[19]]])
    found = sum(call(conn, "audit_state", limit=3)[0]["audit_state"] for _ in range(8))
    assert found >= 3
    assert value(conn, "select count(*) from pgq.ready") == 20


@pytest.mark.parametrize(
    ("end", "stays"),
    [("complete", "succeeded"), ("fail", "dead"), (None, "running")],
)
def test_job_in_two_states_keeps_the_further_one(conn: Conn, end: str | None, stays: str) -> None:
    lease = running(conn)
    if end:
        call(conn, end, **hold(lease), **({"permanent": True} if end == "fail" else {}))
    conn.execute(
        "insert into pgq.ready (lane, job_id) values (pgq._lane('default', 5), %s)", [lease["id"]]
    )
    audit(conn)
    assert state(conn, lease["id"]) == stays
    assert value(conn, "select count(*) from pgq.ready") == 0
    assert repaired(conn)["two states"] == 1
    assert audit(conn) == 0


def test_second_state_that_is_being_moved_is_left_to_another_round(conn: Conn, dsn: str) -> None:
    lease = running(conn)
    conn.execute(
        "insert into pgq.ready (lane, job_id) values (pgq._lane('default', 5), %s)", [lease["id"]]
    )
    conn.execute("set lock_timeout = '1ms'")
    with connect(dsn, autocommit=False) as other:
        other.execute("select from pgq.ready for update")
        answer(conn, "audit_state")
        other.rollback()
    assert value(conn, "select count(*) from pgq.ready") == 1
    answer(conn, "audit_state")
    assert value(conn, "select count(*) from pgq.ready") == 0


def test_job_below_its_floor_is_seated_anew(conn: Conn) -> None:
    jobs = insert(conn, 5)
    conn.execute(
        "insert into pgq.floor (lane, floor) select lane, seq from pgq.ready where job_id = %s",
        [jobs[3]],
    )
    assert len(claim(conn, limits=10)) == 2
    assert audit(conn) == 3
    assert [each["id"] for each in claim(conn, limits=10)] == jobs[:3]
    assert repaired(conn) == {"below floor": 3}


def test_job_below_its_floor_that_is_being_moved_is_not_waited_for(conn: Conn, dsn: str) -> None:
    (job,) = insert(conn)
    conn.execute("insert into pgq.floor (lane, floor) select lane, seq + 1 from pgq.ready")
    conn.execute("set lock_timeout = '1ms'")
    with connect(dsn, autocommit=False) as operator:
        call(operator, "cancel", id=job)
        assert answer(conn, "audit_state") == 0
        operator.rollback()
    assert answer(conn, "audit_state") == 1


def test_open_claim_that_a_floor_passed_is_no_fault(conn: Conn, dsn: str) -> None:
    insert(conn, 5)
    settle(conn)
    with connect(dsn, autocommit=False) as other:
        claim(other, limits=2)
        settle(conn)
        assert value(conn, "select count(*) from pgq.passed") == 2
        assert audit(conn) == 0
        other.rollback()
    assert audit(conn) == 0


def test_straggler_that_a_floor_passed_is_no_fault(conn: Conn, dsn: str) -> None:
    with connect(dsn, autocommit=False) as other:
        insert(other, 5)
        insert(conn)
        claim(conn)
        settle(conn)
        conn.execute("update pgq.mark set noted_at = noted_at - interval '1 minute'")
        settle(conn)
        other.commit()
    assert audit(conn) == 0
    settle(conn)
    assert audit(conn) == 0
    assert len(claim(conn, limits=10)) == 5


@pytest.mark.parametrize("table", ["tally", "counter"])
def test_counters_that_are_wrong_are_corrected(conn: Conn, table: str) -> None:
    insert(conn, 7)
    insert(conn, 3, queue="b")
    if table == "counter":
        answer(conn, "fold")
    conn.execute(f"delete from pgq.{table} where queue = 'b'")
    assert audit(conn) == 1
    assert audit(conn) == 0
    assert repaired(conn) == {"counter": 1}
    depth = rows(
        conn,
        "select queue, sum(case when label like '%>ready' then n else -n end)::bigint as n"
        " from pgq.counter where label ~ 'ready' group by queue order by queue",
    )
    assert depth == [{"queue": "b", "n": 3}, {"queue": "default", "n": 7}]


def test_audit_in_the_middle_of_transactions_finds_nothing(conn: Conn, dsn: str) -> None:
    insert(conn, 4)
    leases = claim(conn, limits=3)
    with connect(dsn, autocommit=False) as other:
        insert(other)
        call(other, "complete", **hold(leases[0]))
        call(other, "fail", **hold(leases[1]))
        call(other, "release", **hold_all(leases[2]))
        claim(other)
        assert audit(conn) == 0
        other.commit()
    assert audit(conn) == 0


def test_job_of_a_past_day_is_looked_at(conn: Conn) -> None:
    day_of_ids(conn, 3)
    (job,) = insert(conn)
    answer(conn, "partition")
    conn.execute("delete from pgq.ready")
    audit(conn)
    assert state(conn, job) == "ready"
    assert attempts(conn, job) == []
