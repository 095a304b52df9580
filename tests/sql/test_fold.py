"""fold: counters that are exact, and lanes told once."""

from __future__ import annotations

from sql.support import (
    Conn,
    answer,
    call,
    claim,
    connect,
    hold,
    hold_all,
    insert,
    repeat_sweep,
    rows,
    value,
)


def counted(conn: Conn) -> dict[tuple[str, str], int]:
    return {
        (each["queue"], each["label"]): each["n"]
        for each in rows(
            conn,
            "select queue, label, sum(n)::bigint as n from pgq.counter"
            " where metric = 'transition' group by 1, 2",
        )
    }


def test_counters_tell_exactly_what_happened(conn: Conn) -> None:
    insert(conn, 10, queue="a")
    insert(conn, 5, queue="b", priority=1)
    insert(conn, 4, queue="b", run_at="2999-01-01")
    leases = claim(conn, queues=["a", "b"], limits=[6, 2])
    call(conn, "complete_many", **hold_all(*leases[:3]))
    call(conn, "fail_many", **hold_all(leases[3]))
    call(conn, "fail_many", **hold_all(leases[4]), permanents=[True])
    call(conn, "release", **hold_all(leases[5]))
    call(conn, "snooze", **hold(leases[6]), delay="1 hour")
    call(conn, "cancel", id=leases[5]["id"])
    answer(conn, "fold")
    assert counted(conn) == {
        ("a", ">ready"): 10,
        ("a", "ready>running"): 6,
        ("a", "running>succeeded"): 3,
        ("a", "running>retrying"): 1,
        ("a", "running>dead"): 1,
        ("a", "running>ready"): 1,
        ("a", "ready>cancelled"): 1,
        ("b", ">ready"): 5,
        ("b", ">scheduled"): 4,
        ("b", "ready>running"): 2,
        ("b", "running>scheduled"): 1,
    }
    assert value(conn, "select count(*) from pgq.tally") == 0


def test_folding_twice_counts_once(conn: Conn) -> None:
    insert(conn, 3)
    assert answer(conn, "fold") == 1
    assert answer(conn, "fold") == 0
    insert(conn, 4)
    answer(conn, "fold")
    assert counted(conn) == {("default", ">ready"): 7}
    assert value(conn, "select count(*) from pgq.counter where label = '>ready'") == 1


def test_what_was_rolled_back_is_not_counted(conn: Conn, dsn: str) -> None:
    with connect(dsn, autocommit=False) as producer:
        insert(producer)
        producer.rollback()
    answer(conn, "fold")
    assert counted(conn) == {}


def test_fold_that_is_rolled_back_takes_nothing_away(conn: Conn, dsn: str) -> None:
    insert(conn, 3)
    with connect(dsn, autocommit=False) as other:
        answer(other, "fold")
        other.rollback()
    answer(conn, "fold")
    assert counted(conn) == {("default", ">ready"): 3}


def test_no_more_than_the_limit_at_once(conn: Conn) -> None:
    for _ in range(5):
        insert(conn)
    assert [call(conn, "fold", limit=2)[0]["fold"] for _ in range(4)] == [2, 2, 1, 0]
    assert counted(conn) == {("default", ">ready"): 5}


def test_held_counter_is_not_waited_for(conn: Conn, dsn: str) -> None:
    insert(conn)
    answer(conn, "fold")
    insert(conn)
    conn.execute("set lock_timeout = '1ms'")
    with connect(dsn, autocommit=False) as other:
        other.execute("select from pgq.counter for update")
        answer(conn, "fold")
        other.rollback()
    assert value(conn, "select count(*) from pgq.counter") == 2
    assert counted(conn) == {("default", ">ready"): 2}


def test_tally_that_is_being_folded_is_not_waited_for(conn: Conn, dsn: str) -> None:
    insert(conn)
    conn.execute("set lock_timeout = '1ms'")
    with connect(dsn, autocommit=False) as other:
        answer(other, "fold")
        insert(conn)
        assert answer(conn, "fold") == 1
        other.commit()
    assert counted(conn) == {("default", ">ready"): 2}


def test_tally_of_a_transaction_that_committed_late_is_found(conn: Conn, dsn: str) -> None:
    with connect(dsn, autocommit=False) as slow:
        insert(slow, 3)
        for _ in range(3):
            insert(conn)
            answer(conn, "fold")
            repeat_sweep(conn, "tally")
        slow.commit()
    repeat_sweep(conn, "tally_due")
    insert(conn)
    answer(conn, "fold")
    repeat_sweep(conn, "tally_due")
    answer(conn, "fold")
    assert counted(conn) == {("default", ">ready"): 7}
    assert value(conn, "select count(*) from pgq.tally") == 0


def test_duplicate_lanes_are_told_once(conn: Conn, dsn: str) -> None:
    with connect(dsn, autocommit=False) as one, connect(dsn, autocommit=False) as two:
        insert(one)
        insert(two)
        insert(conn)
        one.commit()
        two.commit()
    assert value(conn, "select count(*) from pgq.lane") == 3
    answer(conn, "fold")
    assert value(conn, "select count(*) from pgq.lane") == 1
    assert len(claim(conn, limits=10)) == 3
    answer(conn, "fold")
    assert counted(conn) == {("default", ">ready"): 3, ("default", "ready>running"): 3}


def test_lanes_that_differ_stay(conn: Conn) -> None:
    insert(conn, priority=1)
    insert(conn, priority=2)
    insert(conn, queue="b")
    answer(conn, "fold")
    assert value(conn, "select count(*) from pgq.lane") == 3
