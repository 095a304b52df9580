"""partition: days ahead, and ids that name the day."""

from __future__ import annotations

import pytest

from sql.support import (
    Conn,
    answer,
    call,
    claim,
    connect,
    day_of_ids,
    days,
    hold_all,
    insert,
    state,
    value,
)

TABLES = ["job", "finished", "attempt", "log"]


def today(conn: Conn) -> int:
    return int(value(conn, "select pgq._today()"))


@pytest.mark.parametrize("table", TABLES)
def test_a_week_ahead_is_there(conn: Conn, table: str) -> None:
    answer(conn, "partition")
    assert days(conn, table) == list(range(today(conn), today(conn) + 8))


def test_day_in_utc_is_the_partitions_name(conn: Conn) -> None:
    (job,) = insert(conn)
    conn.execute("set timezone = 'Pacific/Kiritimati'")
    assert value(
        conn,
        "select tableoid::regclass::text = 'pgq.job_' ||"
        " to_char(now() at time zone 'UTC', 'YYYYMMDD') from pgq.job where id = %s",
        [job],
    )
    assert answer(conn, "partition") == 0


def test_partition_again_makes_nothing(conn: Conn) -> None:
    assert answer(conn, "partition") == 0


def test_partition_says_how_many_it_made(conn: Conn) -> None:
    assert call(conn, "partition", days=9)[0]["partition"] == 2 * len(TABLES)


@pytest.mark.parametrize("table", TABLES)
def test_new_day_is_like_its_table(conn: Conn, table: str) -> None:
    """Nothing but the names of constraints and indexes is its own."""
    made = value(conn, "select pgq._partition_name(%s, pgq._today() + 3)", [table])
    for query in (
        "select array_agg((attname, atttypid, attnotnull)::text order by attnum)"
        " from pg_attribute where attrelid = %s::regclass and attnum > 0",
        "select array_agg(regexp_replace(pg_get_constraintdef(oid), '.*', '\\&') order by 1)"
        " from pg_constraint where conrelid = %s::regclass and contype = 'c'",
        "select count(*) from pg_index where indrelid = %s::regclass",
    ):
        assert value(conn, query, [f"pgq.{made}"]) == value(conn, query, [f"pgq.{table}"])


def test_id_sequence_moves_on_with_the_day(conn: Conn) -> None:
    day_of_ids(conn, 1)
    (yesterday,) = insert(conn)
    assert yesterday >> 32 == today(conn) - 1
    answer(conn, "partition")
    (job,) = insert(conn)
    assert job >> 32 == today(conn)


def test_id_sequence_does_not_go_back(conn: Conn) -> None:
    (first,) = insert(conn)
    answer(conn, "partition")
    (second,) = insert(conn)
    assert second == first + 1


def test_id_sequence_is_ahead_when_the_clock_was_set_back(conn: Conn) -> None:
    conn.execute("select setval('pgq.job_id_seq', (pgq._today() + 20)::bigint << 32)")
    answer(conn, "partition")
    (job,) = insert(conn)
    assert job >> 32 == today(conn) + 20


@pytest.fixture
def after_a_week_without_upkeep(conn: Conn) -> int:
    """The day of the last upkeep, beyond which there are no partitions."""
    day = day_of_ids(conn, 9)
    for table in TABLES:
        for each in days(conn, table):
            if each > day + 7:
                name = value(conn, "select pgq._partition_name(%s, %s)", [table, each])
                conn.execute(f"drop table pgq.{name}")
    assert days(conn) == [day]
    return day


def test_ids_go_on_in_the_old_day_without_upkeep(
    conn: Conn, after_a_week_without_upkeep: int
) -> None:
    jobs = insert(conn, 3)
    assert {job >> 32 for job in jobs} == {after_a_week_without_upkeep}
    call(conn, "complete_many", **hold_all(*claim(conn, limits=3)))
    assert {state(conn, job) for job in jobs} == {"succeeded"}


def test_partition_catches_up_after_a_week_without_upkeep(
    conn: Conn, after_a_week_without_upkeep: int
) -> None:
    old = insert(conn, 3)
    answer(conn, "partition")
    new = insert(conn, 3)
    assert {job >> 32 for job in new} == {today(conn)}
    assert days(conn) == [
        after_a_week_without_upkeep,
        *range(today(conn), today(conn) + 8),
    ]
    leases = claim(conn, limits=10)
    assert [each["id"] for each in leases] == old + new
    assert call(conn, "complete_many", **hold_all(*leases)) == []


@pytest.mark.parametrize("table", TABLES)
def test_partition_gives_up_on_a_table_that_somebody_holds(
    conn: Conn, dsn: str, table: str
) -> None:
    with connect(dsn, autocommit=False) as other:
        other.execute(f"lock table pgq.{table} in access exclusive mode")
        made = call(conn, "partition", days=9)[0]["partition"]
        assert made == TABLES.index(table)
        other.rollback()
    assert call(conn, "partition", days=9)[0]["partition"] == 2 * len(TABLES) - made


def test_partition_waits_for_nobody_who_reads_or_writes(conn: Conn, dsn: str) -> None:
    with connect(dsn, autocommit=False) as writer, connect(dsn, autocommit=False) as reader:
        insert(writer)
        reader.execute("select from pgq.job, pgq.finished, pgq.attempt, pgq.log")
        assert call(conn, "partition", days=9)[0]["partition"] == 2 * len(TABLES)
        writer.execute("set lock_timeout = '1ms'")
        insert(writer)
        writer.commit()


def test_two_at_once_make_each_day_once(conn: Conn, dsn: str) -> None:
    with connect(dsn, autocommit=False) as one:
        call(one, "partition", days=9)
        call(conn, "partition", days=9)
        one.commit()
    call(conn, "partition", days=9)
    assert days(conn) == list(range(today(conn), today(conn) + 10))
