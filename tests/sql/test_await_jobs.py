"""await_jobs: who is rung when jobs come, and that nobody else is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sql.support import (
    Conn,
    answer,
    call,
    claim,
    connect,
    hold,
    hold_all,
    insert,
    running,
    settle,
    value,
)


@pytest.fixture
def ear(dsn: str) -> Iterator[Conn]:
    with connect(dsn) as session:
        for channel in ("pgq_8_1", "pgq_9_1", *(f"pgq_7_{executor}" for executor in range(10))):
            session.execute(f"listen {channel}")
        yield session


def heard(ear: Conn) -> list[str]:
    """Who was rung before now: a notification arrives before one that was sent later."""
    found: list[str] = []
    ear.execute("notify pgq_7_0, 'end'")
    for each in ear.notifies(timeout=10):
        if each.payload == "end":
            return found
        assert each.payload == "w"
        found.append(each.channel.removeprefix("pgq_").replace("_", "."))
    raise AssertionError("not even our own notification came")


def wait(
    conn: Conn, worker: int, executor: int = 1, queue: str = "default", slots: int = 1
) -> None:
    call(conn, "await_jobs", worker=worker, executor=executor, queues=[queue], slots=slots)


def test_new_job_rings_who_waits_for_its_queue(conn: Conn, ear: Conn) -> None:
    wait(conn, 7, 3)
    insert(conn)
    assert heard(ear) == ["7.3"]


def test_nobody_waits_nobody_is_rung(conn: Conn, ear: Conn) -> None:
    insert(conn)
    assert heard(ear) == []


def test_jobs_of_other_queues_do_not_ring(conn: Conn, ear: Conn) -> None:
    wait(conn, 7, queue="a")
    insert(conn, queue="b")
    assert heard(ear) == []
    insert(conn, queue="a", priority=9)
    assert heard(ear) == ["7.1"]


def test_ring_comes_with_the_commit(conn: Conn, ear: Conn, dsn: str) -> None:
    wait(conn, 7)
    with connect(dsn, autocommit=False) as producer:
        insert(producer)
        assert heard(ear) == []
        producer.commit()
    assert heard(ear) == ["7.1"]


def test_insert_that_is_rolled_back_does_not_ring(conn: Conn, ear: Conn, dsn: str) -> None:
    wait(conn, 7)
    with connect(dsn, autocommit=False) as producer:
        insert(producer)
        producer.rollback()
    assert heard(ear) == []


def test_scheduled_job_rings_when_it_is_due(conn: Conn, ear: Conn) -> None:
    wait(conn, 7)
    insert(conn, run_at="2999-01-01")
    assert heard(ear) == []
    conn.execute("update pgq.delayed set run_at = now()")
    answer(conn, "promote")
    assert heard(ear) == ["7.1"]


def test_released_job_rings(conn: Conn, ear: Conn) -> None:
    lease = running(conn)
    wait(conn, 7)
    call(conn, "release", **hold_all(lease))
    assert heard(ear) == ["7.1"]


@pytest.mark.parametrize("jobs", [1, 2, 5, 9, 100])
def test_as_many_are_rung_as_the_jobs_need(conn: Conn, ear: Conn, jobs: int) -> None:
    for executor in range(10):
        wait(conn, 7, executor)
    insert(conn, jobs)
    called = heard(ear)
    assert len(called) == len(set(called)) == min(jobs, 10)


def test_free_slots_are_counted(conn: Conn, ear: Conn) -> None:
    for executor in range(10):
        wait(conn, 7, executor, slots=4)
    insert(conn, 9)
    assert len(heard(ear)) == 3


def test_all_are_rung_at_some_time(conn: Conn, ear: Conn) -> None:
    """Chosen at random: that one of two is never chosen in 60 rounds happens once in 10^18."""
    wait(conn, 7, 1)
    wait(conn, 8, 1)
    called = set()
    for _ in range(60):
        insert(conn)
        called.update(heard(ear))
    assert called == {"7.1", "8.1"}


def test_one_executor_of_many_queues_is_rung_once(conn: Conn, ear: Conn) -> None:
    call(conn, "await_jobs", worker=7, executor=1, queues=["a", "b"], slots=5)
    conn.execute("insert into pgq.job (task, queue) values ('echo', 'a'), ('echo', 'b')")
    assert heard(ear) == ["7.1"]


def test_wake_off_is_silent(conn: Conn, ear: Conn, dsn: str) -> None:
    wait(conn, 7)
    with connect(dsn, autocommit=False) as producer:
        producer.execute("set local pgq.wake = 'off'")
        insert(producer)
        producer.commit()
        assert heard(ear) == []
        insert(producer)
        producer.commit()
    assert heard(ear) == ["7.1"]


def test_transaction_with_wake_off_can_be_prepared(conn: Conn, ear: Conn, dsn: str) -> None:
    if int(value(conn, "show max_prepared_transactions")) == 0:
        pytest.skip("this server allows no prepared transactions")
    wait(conn, 7)
    with connect(dsn, autocommit=False) as producer:
        producer.execute("set local pgq.wake = 'off'")
        (job,) = insert(producer)
        producer.execute("prepare transaction 'await-jobs'")
        producer.rollback()
    conn.execute("commit prepared 'await-jobs'")
    assert [each["id"] for each in claim(conn)] == [job]
    assert heard(ear) == []


def test_0_slots_waits_no_longer(conn: Conn, ear: Conn) -> None:
    wait(conn, 7, 1)
    wait(conn, 7, 2)
    wait(conn, 7, 1, slots=0)
    insert(conn, 5)
    assert heard(ear) == ["7.2"]


def test_waiting_again_replaces_what_was_said(conn: Conn, ear: Conn) -> None:
    wait(conn, 7, queue="a", slots=5)
    wait(conn, 7, queue="b", slots=1)
    insert(conn, queue="a")
    assert heard(ear) == []
    assert value(conn, "select count(*) from pgq.waiter") == 1


def test_who_has_not_said_so_for_20_seconds_is_not_rung(conn: Conn, ear: Conn) -> None:
    wait(conn, 7)
    conn.execute("update pgq.waiter set entered_at = entered_at - interval '20 seconds'")
    wait(conn, 8)
    insert(conn, 10)
    assert heard(ear) == ["8.1"]


def test_moving_floors_does_not_ring_without_need(conn: Conn, ear: Conn) -> None:
    insert(conn, 10)
    wait(conn, 7)
    settle(conn)
    assert heard(ear) == []


def test_completion_does_not_ring(conn: Conn, ear: Conn) -> None:
    lease = running(conn)
    wait(conn, 7)
    call(conn, "complete", **hold(lease))
    assert heard(ear) == []


SCANS = "select s.seq_scan from pg_stat_xact_user_tables s where s.relname = 'waiter'"


def test_table_of_who_waits_is_not_read_whole_by_who_planned_when_it_was_empty(conn: Conn) -> None:
    conn.execute("vacuum analyze pgq.waiter")
    with conn.transaction():
        insert(conn)
        assert value(conn, SCANS) == 0
        wait(conn, 7)
        assert value(conn, SCANS) == 0
