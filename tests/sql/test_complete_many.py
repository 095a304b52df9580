"""complete_many: batches, with a row for each job that the call did not finish."""

from __future__ import annotations

import uuid

from sql.support import (
    Conn,
    answer,
    call,
    claim,
    connect,
    hold,
    hold_all,
    in_background,
    insert,
    row,
    rows,
    running,
    state,
    value,
    wait_for_lock,
)


def outcomes(found: list[dict[str, object]]) -> dict[object, object]:
    return {each["id"]: each["outcome"] for each in found}


def test_batch_that_is_finished_returns_no_row(conn: Conn) -> None:
    insert(conn, 100)
    leases = claim(conn, limits=100)
    assert call(conn, "complete_many", **hold_all(*leases)) == []
    assert value(conn, "select count(*) from pgq.finished where outcome = 'succeeded'") == 100
    assert value(conn, "select count(*) from pgq.lease") == 0


def test_each_job_has_its_own_outcome(conn: Conn) -> None:
    call(conn, "configure", result_limit=10)
    good, repeated, lost, stale, large = [running(conn) for _ in range(5)]
    call(conn, "complete", **hold(repeated))
    call(conn, "release", **hold_all(lost))
    call(conn, "release", **hold_all(stale))
    conn.execute("delete from pgq.ready where job_id = %s", [lost["id"]])
    found = call(
        conn,
        "complete_many",
        **hold_all(large, stale, repeated, good, lost),
        results=['"too large a result"', None, "1", "1", "1"],
    )
    assert outcomes(found) == {
        large["id"]: "result too large",
        stale["id"]: "lost",
        repeated["id"]: "repeated",
        lost["id"]: "lost",
    }
    assert state(conn, good["id"]) == "succeeded"
    assert state(conn, large["id"]) == "running"
    assert state(conn, stale["id"]) == "ready"


def test_cancelled_job_is_lost(conn: Conn) -> None:
    lease = running(conn)
    call(conn, "cancel", **hold(lease))
    assert outcomes(call(conn, "complete_many", **hold_all(lease))) == {lease["id"]: "lost"}
    assert state(conn, lease["id"]) == "cancelled"


def test_each_job_gets_its_own_result(conn: Conn) -> None:
    insert(conn, 3)
    leases = claim(conn, limits=3)
    call(conn, "complete_many", **hold_all(*reversed(leases)), results=["3", None, "1"])
    assert [
        each["result"] for each in rows(conn, "select result from pgq.finished order by job_id")
    ] == [1, None, 3]


def test_each_job_tells_how_long_it_ran(conn: Conn) -> None:
    insert(conn, 2)
    leases = claim(conn, limits=2)
    call(conn, "complete_many", **hold_all(*leases), ran_seconds=[60.0, None])
    ran = rows(
        conn,
        "select extract(epoch from finished_at - started_at)::float as ran"
        " from pgq.finished order by job_id",
    )
    assert [each["ran"] for each in ran] == [60.0, None]


def test_job_named_twice_is_finished_once(conn: Conn) -> None:
    lease = running(conn)
    assert call(conn, "complete_many", **hold_all(lease, lease)) == []
    assert value(conn, "select count(*) from pgq.finished") == 1
    assert value(conn, "select sum(n) from pgq.tally where label = 'running>succeeded'") == 1


def test_empty_batch_is_nothing(conn: Conn) -> None:
    assert call(conn, "complete_many", ids=[], tokens=[]) == []


def test_unknown_job_is_lost(conn: Conn) -> None:
    assert outcomes(call(conn, "complete_many", ids=[7], tokens=[uuid.uuid4()])) == {7: "lost"}


def test_unique_keys_of_a_batch_are_free(conn: Conn) -> None:
    insert(conn, unique_key="a")
    insert(conn)
    insert(conn, unique_key="b")
    call(conn, "complete_many", **hold_all(*claim(conn, limits=3)))
    assert value(conn, "select count(*) from pgq.unique_key") == 0


def test_batch_is_counted_by_queue(conn: Conn) -> None:
    insert(conn, 3, queue="a")
    insert(conn, 2, queue="b", priority=1)
    insert(conn, 2, queue="b", priority=2)
    call(conn, "complete_many", **hold_all(*claim(conn, queues=["a", "b"], limits=9)))
    answer(conn, "fold")
    counted = rows(conn, "select queue, n from pgq.counter where label = 'running>succeeded'")
    assert {each["queue"]: each["n"] for each in counted} == {"a": 3, "b": 4}


def test_batches_in_opposite_order_do_not_deadlock(conn: Conn, dsn: str) -> None:
    """Both lock in the order of ids, so one waits and the other ends."""
    insert(conn, 50)
    leases = claim(conn, limits=50)
    with connect(dsn, autocommit=False) as holder, connect(dsn) as one, connect(dsn) as two:
        holder.execute("select from pgq.lease where job_id = %s for update", [leases[25]["id"]])
        with (
            in_background(lambda: call(one, "complete_many", **hold_all(*leases))) as first,
            in_background(
                lambda: call(two, "complete_many", **hold_all(*reversed(leases)))
            ) as second,
        ):
            wait_for_lock(conn, one)
            wait_for_lock(conn, two)
            holder.rollback()
            found = [*first.result(), *second.result()]
    assert {each["outcome"] for each in found} == {"repeated"}
    assert len(found) == 50
    assert row(conn, "select count(*) as n from pgq.finished")["n"] == 50


def test_jobs_that_are_being_noted_as_begun_are_finished(conn: Conn, dsn: str) -> None:
    insert(conn, 3)
    leases = claim(conn, limits=3)
    with connect(dsn, autocommit=False) as noting, connect(dsn) as completing:
        call(noting, "start", **hold_all(leases[1]), ran_seconds=[60.0])
        with in_background(lambda: call(completing, "complete_many", **hold_all(*leases))) as found:
            wait_for_lock(conn, completing)
            noting.commit()
            assert found.result() == []
    noted = rows(
        conn,
        "select now() - started_at > interval '50 s' as noted from pgq.finished order by job_id",
    )
    assert [each["noted"] for each in noted] == [None, True, None]
