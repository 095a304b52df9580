from __future__ import annotations

from typing import Any

from sql.states import STATES, job_in
from sql.support import Conn, answer, call, insert, move_clock, register, value

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
