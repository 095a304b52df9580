from __future__ import annotations

from sql.states import STATES, assert_counters_are_right, job_in
from sql.support import Conn, answer, call, insert, rows, value


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
