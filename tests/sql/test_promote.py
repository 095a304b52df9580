"""promote: delayed jobs become ready when they are due."""

from __future__ import annotations

from sql.support import (
    Conn,
    answer,
    call,
    claim,
    claim_one,
    connect,
    hold,
    insert,
    repeat_sweep,
    row,
    running,
    state,
    value,
)

FUTURE = "2999-01-01"


def come_due(conn: Conn, job: int, interval: str = "0") -> None:
    conn.execute(
        "update pgq.delayed set run_at = clock_timestamp() - %s::interval where job_id = %s",
        [interval, job],
    )


def test_due_job_becomes_ready(conn: Conn) -> None:
    due, later = insert(conn, 2, run_at=FUTURE)
    come_due(conn, due)
    assert answer(conn, "promote") == 1
    assert [state(conn, each) for each in (due, later)] == ["ready", "scheduled"]
    assert [each["id"] for each in claim(conn, limits=10)] == [due]


def test_jobs_become_ready_in_the_order_of_their_times(conn: Conn) -> None:
    jobs = insert(conn, 5, run_at=FUTURE)
    for minutes, job in enumerate(jobs, 1):
        come_due(conn, job, f"{minutes} minutes")
    answer(conn, "promote")
    assert [each["id"] for each in claim(conn, limits=10)] == list(reversed(jobs))


def test_job_keeps_its_priority(conn: Conn) -> None:
    insert(conn)
    (job,) = insert(conn, run_at=FUTURE, priority=0)
    come_due(conn, job)
    answer(conn, "promote")
    assert claim_one(conn)["id"] == job


def test_job_keeps_what_it_went_through(conn: Conn) -> None:
    lease = running(conn, unique_key="k")
    call(conn, "fail", **hold(lease), retry_in="0")
    conn.execute("update pgq.delayed set crashes = 2, suspect = true, unknown_since = now()")
    before = row(
        conn, "select job_id, attempt, crashes, suspect, has_key, unknown_since from pgq.delayed"
    )
    answer(conn, "promote")
    after = row(
        conn, "select job_id, attempt, crashes, suspect, has_key, unknown_since from pgq.ready"
    )
    assert after == before


def test_no_more_than_the_limit_at_once(conn: Conn) -> None:
    insert(conn, 10, run_at=FUTURE)
    conn.execute("update pgq.delayed set run_at = clock_timestamp()")
    assert [call(conn, "promote", limit=4)[0]["promote"] for _ in range(4)] == [4, 4, 2, 0]


def test_limit_in_the_middle_of_one_instant_leaves_nobody_behind(conn: Conn) -> None:
    insert(conn, 100, run_at=FUTURE)
    conn.execute("update pgq.delayed set run_at = now()")
    for _ in range(34):
        call(conn, "promote", limit=3)
    assert value(conn, "select count(*) from pgq.delayed") == 0


def test_row_that_came_to_stand_behind_the_cursor_is_found_by_a_sweep(conn: Conn) -> None:
    """Its transaction committed long after it was due."""
    (job,) = insert(conn, run_at=FUTURE)
    answer(conn, "promote")
    come_due(conn, job, "1 hour")
    repeat_sweep(conn, "delayed_sweep")
    answer(conn, "promote")
    assert state(conn, job) == "ready"


def test_round_without_a_sweep_does_not_read_from_the_beginning(conn: Conn) -> None:
    (job,) = insert(conn, run_at=FUTURE)
    answer(conn, "promote")
    come_due(conn, job, "1 hour")
    answer(conn, "promote")
    assert state(conn, job) == "scheduled"


def test_clock_that_was_set_back_is_followed_by_a_sweep(conn: Conn) -> None:
    """Cursors of the clock as it was stand in the future."""
    (job,) = insert(conn, run_at=FUTURE)
    answer(conn, "promote")
    conn.execute(
        "update pgq.cursor set at = at + interval '1 hour',"
        " value = case stream when 'delayed' then value + 3600000000 else value end"
    )
    come_due(conn, job)
    answer(conn, "promote")
    assert state(conn, job) == "ready"


def test_row_that_somebody_moves_is_skipped(conn: Conn, dsn: str) -> None:
    one, two = insert(conn, 2, run_at=FUTURE)
    come_due(conn, one, "1 minute")
    come_due(conn, two)
    conn.execute("set lock_timeout = '1ms'")
    with connect(dsn, autocommit=False) as operator:
        call(operator, "cancel", id=one)
        assert answer(conn, "promote") == 1
        operator.rollback()
    repeat_sweep(conn, "delayed_sweep")
    assert answer(conn, "promote") == 1


def test_promotions_are_counted(conn: Conn) -> None:
    lease = running(conn)
    insert(conn, 2, run_at=FUTURE)
    call(conn, "fail", **hold(lease))
    conn.execute("update pgq.delayed set run_at = now()")
    answer(conn, "promote")
    answer(conn, "fold")
    counted = conn.execute("select label, n from pgq.counter where label like '%>ready'")
    assert dict(counted.fetchall()) == {
        ">ready": 1,
        "scheduled>ready": 2,
        "retrying>ready": 1,
    }
