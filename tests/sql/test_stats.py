from __future__ import annotations

from sql.states import STATES, assert_counters_are_right, job_in
from sql.support import (
    Conn,
    answer,
    call,
    hold,
    hold_all,
    insert,
    refused,
    rows,
    running,
    value,
)


def test_what_was_counted_adds_up_over_folded_and_unfolded(conn: Conn) -> None:
    for _ in range(3):
        insert(conn, 2)
        answer(conn, "fold")
        insert(conn)
    (made,) = [each for each in call(conn, "stats") if each["label"] == ">ready"]
    assert (made["queue"], made["metric"], made["n"]) == ("default", "transition", 9)


def test_each_kind_stands_in_one_row(conn: Conn) -> None:
    for _ in range(2):
        for wanted in STATES:
            job_in(conn, wanted, queue=wanted)
        answer(conn, "fold")
    keys = [(s["queue"], s["metric"], s["label"], s["bucket"]) for s in call(conn, "stats")]
    assert len(keys) == len(set(keys))
    for wanted in STATES:
        assert_counters_are_right(conn, wanted)


def test_purged_jobs_are_counted_out(conn: Conn) -> None:
    answer(conn, "purge", ids=[job_in(conn, "dead")])
    assert value(conn, "select n from pgq.stats() where label = 'dead>'") == 1
    assert_counters_are_right(conn)


def test_it_counts_no_jobs(conn: Conn) -> None:
    insert(conn, 3)
    conn.execute("delete from pgq.ready; delete from pgq.job")
    assert rows(conn, "select n from pgq.stats() where label = '>ready'") == [{"n": 3}]


def stale(conn: Conn) -> dict[tuple[str, str], int]:
    return {
        (each["queue"], each["label"]): each["n"]
        for each in call(conn, "stats")
        if each["metric"] == "stale"
    }


def test_stale_writes_are_counted_by_what_they_meant_to_do(conn: Conn) -> None:
    one, two = running(conn, queue="a"), running(conn, queue="b")
    call(conn, "release", **hold_all(one, two))
    call(conn, "complete_many", **hold_all(one, two))
    call(conn, "complete_many", **hold_all(one))
    call(conn, "fail_many", **hold_all(one))
    call(conn, "log_many", **hold_all(two), messages=["late", "later"])
    assert stale(conn) == {
        ("a", "complete"): 2,
        ("b", "complete"): 1,
        ("a", "fail"): 1,
        ("b", "log"): 1,
    }


def test_writes_that_are_repeated_are_not_stale(conn: Conn) -> None:
    one, two = running(conn), running(conn)
    for _ in range(2):
        call(conn, "complete_many", **hold_all(one))
        call(conn, "fail_many", **hold_all(two))
    assert stale(conn) == {}


def test_stale_writes_about_a_job_that_is_gone_are_counted_of_no_queue(conn: Conn) -> None:
    lease = running(conn)
    conn.execute("delete from pgq.lease; delete from pgq.job")
    call(conn, "complete_many", **hold_all(lease))
    assert stale(conn) == {("", "complete"): 1}


def test_refusal_that_is_an_error_is_its_callers_to_count(conn: Conn) -> None:
    lease = running(conn)
    call(conn, "release", **hold_all(lease))
    for verb in ("complete", "fail"):
        with refused("PQ001"):
            call(conn, verb, **hold(lease))
    assert stale(conn) == {}
