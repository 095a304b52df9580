from __future__ import annotations

from collections.abc import Callable

import pytest

from sql.support import Conn, Row, answer, call, connect, insert, settle, value


def health(conn: Conn) -> Row:
    (found,) = call(conn, "database_health")
    return found


def test_upkeep_that_ran_has_an_age(conn: Conn) -> None:
    answer(conn, "reap")
    assert 0 <= health(conn)["upkeep_seconds"] < 20
    conn.execute("update pgq.lease_clock set at = at - interval '1 hour'")
    assert 3600 <= health(conn)["upkeep_seconds"] < 3700


def test_mark_of_the_floors_has_an_age(conn: Conn) -> None:
    settle(conn)
    assert 0 <= health(conn)["floor_seconds"] < 20
    conn.execute("update pgq.mark set noted_at = noted_at - interval '1 hour'")
    assert 3600 <= health(conn)["floor_seconds"] < 3700


def test_floors_that_never_moved_are_as_old_as_the_schema(conn: Conn) -> None:
    conn.execute("delete from pgq.mark")
    conn.execute("update pgq.migration set applied_at = now() - interval '1 hour'")
    assert 3600 <= health(conn)["floor_seconds"] < 3700


def test_oldest_transaction_is_told_with_who_holds_it(conn: Conn, dsn: str) -> None:
    with connect(dsn, autocommit=False) as session:
        session.execute("set application_name = 'report'")
        session.commit()
        session.execute("select 1")
        pid = session.info.backend_pid
        found = health(conn)
        assert found["oldest_pid"] == pid
        assert found["oldest_application"] == "report"
        assert found["oldest_state"] == "idle in transaction"
        assert found["oldest_user"] == session.info.user
        assert found["oldest_seconds"] >= 0
    assert health(conn)["oldest_pid"] != pid


def test_snapshot_that_is_held_grows_older_by_transactions(conn: Conn, dsn: str) -> None:
    with connect(dsn, autocommit=False) as session:
        session.execute("set transaction isolation level repeatable read")
        session.execute("select 1")
        before = health(conn)["xmin_age"]
        insert(conn, 1)
        insert(conn, 1)
        assert health(conn)["xmin_age"] >= before + 2


def test_prepared_transaction_is_told(conn: Conn, connect: Callable[..., Conn]) -> None:
    if not value(conn, "select current_setting('max_prepared_transactions')::integer"):
        pytest.skip("this server prepares no transactions")
    session = connect(autocommit=False)
    session.execute("set local pgq.wake = 'off'")
    insert(session)
    session.execute("prepare transaction 'forgotten'")
    try:
        found = health(conn)
        assert (found["oldest_state"], found["oldest_application"]) == ("prepared", "forgotten")
        assert found["oldest_pid"] is None
    finally:
        conn.execute("rollback prepared 'forgotten'")


def test_partitions_ahead_are_counted_up_to_the_first_gap(conn: Conn) -> None:
    answer(conn, "partition", days=5)
    ahead = health(conn)["days_ahead"]
    assert ahead >= 5
    for day, left in ((4, 3), (0, -1)):
        name = value(conn, "select pgq._partition_name('log', pgq._today() + %s)", [day])
        conn.execute(f"drop table pgq.{name}")
        assert health(conn)["days_ahead"] == left


def test_what_was_mended_is_counted(conn: Conn) -> None:
    assert health(conn)["repaired"] == 0
    insert(conn)
    conn.execute("delete from pgq.ready")
    answer(conn, "audit_state")
    assert health(conn)["repaired"] == 1


def test_sessions_are_counted_with_their_limit(conn: Conn, dsn: str) -> None:
    with connect(dsn):
        found = health(conn)
        assert 2 <= found["connections"] <= found["max_connections"]


def test_queue_of_notifications_is_a_share(conn: Conn) -> None:
    assert health(conn)["notification_queue"] == 0


def test_no_text_of_a_query_is_told(conn: Conn, dsn: str) -> None:
    with connect(dsn, autocommit=False) as session:
        session.execute("select 'hidden canary'")
        assert "canary" not in str(health(conn))
