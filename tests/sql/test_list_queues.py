from __future__ import annotations

from typing import Any

from sql.states import STATES, job_in
from sql.support import (
    Conn,
    answer,
    attempts,
    call,
    claim,
    claim_one,
    hold,
    insert,
    move_clock,
    register,
    settle,
    value,
)

DEPTHS = ("scheduled", "ready", "running", "retrying", "dead")


def queues(conn: Conn) -> dict[str, dict[str, Any]]:
    return {each["queue"]: each for each in call(conn, "list_queues")}


def test_depths_are_what_stands_in_each_state(conn: Conn) -> None:
    for count, wanted in enumerate(STATES, start=1):
        for _ in range(count):
            job_in(conn, wanted, queue=wanted)
    found = queues(conn)
    for count, wanted in enumerate(STATES, start=1):
        assert found[wanted][wanted] == count
        assert sum(found[wanted][each] for each in DEPTHS if each != wanted) == 0


def test_folding_the_counts_changes_nothing(conn: Conn) -> None:
    for wanted in STATES:
        job_in(conn, wanted)
    before = queues(conn)
    answer(conn, "fold")
    assert value(conn, "select count(*) from pgq.counter") > 0
    assert queues(conn) == before
    job_in(conn, "succeeded", queue="other")
    assert queues(conn)["default"] == before["default"]


def test_succeeded_and_cancelled_are_totals(conn: Conn) -> None:
    job_in(conn, "succeeded")
    job = job_in(conn, "cancelled")
    answer(conn, "retry", id=job)
    answer(conn, "cancel", id=job)
    found = queues(conn)["default"]
    assert (found["succeeded"], found["cancelled"]) == (1, 2)


def test_it_reads_counts_instead_of_jobs(conn: Conn) -> None:
    insert(conn, 3)
    conn.execute("delete from pgq.ready")
    assert queues(conn)["default"]["ready"] == 3


def test_queue_with_settings_alone_is_listed(conn: Conn) -> None:
    call(conn, "configure_queue", queue="new", max_attempts=2, timeout="1 minute")
    found = queues(conn)["new"]
    assert (found["max_attempts"], found["timeout"].seconds, found["ready"]) == (2, 60, 0)


def test_workers_are_the_live_ones_that_take_it(conn: Conn) -> None:
    insert(conn, queue="a")
    insert(conn, queue="b")
    register(conn, "a", "b")
    register(conn, "a")
    gone = register(conn, "a")
    call(conn, "heartbeat", worker=gone, ids=[], tokens=[], busy=0, state="offline")
    found = queues(conn)
    assert (found["a"]["workers"], found["b"]["workers"]) == (2, 1)
    move_clock(conn, "1 hour")
    assert queues(conn)["a"]["workers"] == 0


def test_queue_of_many_lanes_is_listed_once(conn: Conn) -> None:
    for priority in range(3):
        insert(conn, priority=priority)
    assert [each["queue"] for each in call(conn, "list_queues")] == ["default"]


# The oldest that waits -------------------------------------------------------------------------


def waiting_since(conn: Conn, queue: str = "default") -> Any:
    return queues(conn)[queue]["oldest_ready_at"]


def test_queue_in_which_nothing_waits_has_no_oldest(conn: Conn) -> None:
    for wanted in STATES:
        job_in(conn, wanted, queue=wanted)
    assert [name for name, each in queues(conn).items() if each["oldest_ready_at"]] == ["ready"]


def test_oldest_of_all_priorities_counts(conn: Conn) -> None:
    (late,) = insert(conn, priority=9)
    insert(conn, 2, priority=0)
    conn.execute(
        "update pgq.job set created_at = created_at - interval '1 hour' where id = %s", [late]
    )
    created = value(conn, "select created_at from pgq.job where id = %s", [late])
    assert waiting_since(conn) == created


def test_next_of_a_lane_counts(conn: Conn) -> None:
    first, second = insert(conn, 2)
    since = "select created_at from pgq.job where id = %s"
    conn.execute(
        "update pgq.job set created_at = created_at - interval '1 hour' where id = %s", [first]
    )
    assert waiting_since(conn) == value(conn, since, [first])
    claim(conn)
    assert waiting_since(conn) == value(conn, since, [second])


def test_job_waits_from_its_time_on(conn: Conn) -> None:
    (job,) = insert(conn)
    conn.execute(
        "update pgq.job set created_at = now() - interval '2 hours',"
        " run_at = now() - interval '1 hour'"
    )
    assert waiting_since(conn) == value(conn, "select run_at from pgq.job where id = %s", [job])


def test_job_that_is_tried_again_waits_from_its_last_attempt_on(conn: Conn) -> None:
    job = job_in(conn, "retrying")
    conn.execute("update pgq.job set created_at = now() - interval '2 hours'")
    answer(conn, "run_now", id=job)
    assert waiting_since(conn) == attempts(conn, job)[-1]["ended_at"]


def test_oldest_is_found_from_the_floor(conn: Conn) -> None:
    """What was claimed leaves dead rows behind, which nothing walks over twice."""
    insert(conn, 2)
    call(conn, "complete", **hold(claim_one(conn)))
    settle(conn)
    conn.execute("update pgq.ready set seq = 1")
    assert waiting_since(conn) is None
