"""Producers never wait for or deadlock with each other, except on the same unique key."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from sql.support import (
    Conn,
    claim,
    column,
    connect,
    in_background,
    insert,
    value,
    wait_for_lock,
)


@pytest.fixture
def one(dsn: str) -> Iterator[Conn]:
    with connect(dsn, autocommit=False) as session:
        yield session


@pytest.fixture
def two(dsn: str) -> Iterator[Conn]:
    """A session that fails as soon as it has to wait for another."""
    with connect(dsn, autocommit=False) as session:
        session.execute("set lock_timeout = '1ms'")
        session.commit()
        yield session


def test_new_queue_of_an_open_transaction_does_not_hold_up_its_next_producer(
    conn: Conn, one: Conn, two: Conn
) -> None:
    insert(one, queue="new")
    insert(two, queue="new")
    two.commit()
    assert len(claim(conn, queues=["new"], limits=10)) == 1
    one.commit()
    assert len(claim(conn, queues=["new"], limits=10)) == 1


def test_same_new_queues_in_opposite_order_do_not_deadlock(
    conn: Conn, one: Conn, two: Conn
) -> None:
    one.execute("set lock_timeout = '1ms'")
    insert(one, queue="a")
    insert(two, queue="b")
    insert(one, queue="b")
    insert(two, queue="a")
    one.commit()
    two.commit()
    assert len(claim(conn, queues=["a", "b"], limits=10)) == 4


def test_different_keys_in_opposite_order_do_not_deadlock(conn: Conn, one: Conn, two: Conn) -> None:
    one.execute("set lock_timeout = '1ms'")
    for step in range(20):
        insert(one, queue=f"q{step}", unique_key=f"one-{step}", priority=step % 10)
        insert(two, queue=f"q{19 - step}", unique_key=f"two-{19 - step}", priority=step % 10)
    one.commit()
    two.commit()
    assert value(conn, "select count(*) from pgq.ready") == 40


def test_any_mix_of_queues_does_not_hold_up_anybody(conn: Conn, dsn: str) -> None:
    dice = random.Random(7)
    sessions = [connect(dsn, autocommit=False) for _ in range(6)]
    try:
        for session in sessions:
            session.execute("set lock_timeout = '1ms'")
        for step in range(300):
            number = dice.randrange(len(sessions))
            insert(
                sessions[number],
                dice.choice([1, 50]),
                queue=f"q{dice.randrange(5)}",
                priority=dice.randrange(10),
                run_at=dice.choice([None, "2999-01-01"]),
            )
            insert(sessions[number], queue="keyed", unique_key=f"{number}-{step}")
        for session in sessions:
            session.commit()
    finally:
        for session in sessions:
            session.close()
    assert value(
        conn,
        "select (select count(*) from pgq.job)"
        " = (select count(*) from pgq.ready) + (select count(*) from pgq.delayed)",
    )


def test_consumers_do_not_hold_up_producers(conn: Conn, one: Conn, two: Conn) -> None:
    insert(conn, unique_key="k")
    claim(one)
    insert(two)
    insert(two, queue="new")
    two.commit()


def test_upkeep_does_not_hold_up_producers(conn: Conn, one: Conn, two: Conn) -> None:
    insert(conn, 10)
    for verb in (
        "promote",
        "reap",
        "settle",
        "fold",
        "partition",
        "prune",
        "audit_state",
        "operate",
    ):
        one.execute(f"select pgq.{verb}()")
        insert(two, queue=verb)
    two.commit()


def test_same_unique_key_waits_for_the_other_producer(conn: Conn, dsn: str, one: Conn) -> None:
    insert(one, unique_key="k")
    with connect(dsn) as two, in_background(lambda: insert(two, unique_key="k")) as second:
        wait_for_lock(conn, two)
        one.commit()
        assert second.result() == []
    assert value(conn, "select count(*) from pgq.job") == 1


def test_same_unique_key_is_free_after_the_other_rolled_back(
    conn: Conn, dsn: str, one: Conn
) -> None:
    insert(one, unique_key="k")
    with connect(dsn) as two, in_background(lambda: insert(two, unique_key="k")) as second:
        wait_for_lock(conn, two)
        one.rollback()
        assert len(second.result()) == 1
    assert column(conn, "select key from pgq.unique_key") == ["k"]


def test_key_of_a_job_that_is_being_completed_is_waited_for(conn: Conn, dsn: str) -> None:
    insert(conn, unique_key="k")
    (lease,) = claim(conn)
    with connect(dsn, autocommit=False) as worker, connect(dsn) as producer:
        worker.execute("select pgq.complete(%s, %s)", [lease["id"], lease["token"]])
        with in_background(lambda: insert(producer, unique_key="k")) as second:
            wait_for_lock(conn, producer)
            worker.commit()
            assert len(second.result()) == 1
