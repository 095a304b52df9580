from __future__ import annotations

from sql.support import Conn, Row, call, column, insert, wait_until


def tables(conn: Conn) -> dict[str, Row]:
    return {each["relation"]: each for each in call(conn, "list_tables")}


def test_every_table_is_told_and_days_are_added_up(conn: Conn) -> None:
    expected = column(
        conn,
        "select relname from pg_class where relnamespace = 'pgq'::regnamespace"
        " and relkind in ('r', 'p') and not relispartition",
    )
    found = tables(conn)
    assert set(found) == set(expected)
    assert found["job"]["partitions"] >= 8
    assert found["ready"]["partitions"] == 0


def test_size_grows_with_what_is_in_it(conn: Conn) -> None:
    before = tables(conn)
    insert(conn, 5000)
    after = tables(conn)
    for name in ("job", "ready"):
        assert after[name]["size_bytes"] > before[name]["size_bytes"]


def test_dead_rows_are_those_that_postgres_knows_of(conn: Conn) -> None:
    conn.execute("alter table pgq.ready set (autovacuum_enabled = off)")
    insert(conn, 100)
    conn.execute("delete from pgq.ready")

    def are_told() -> bool:
        conn.execute("select")  # a session tells what it did when it is next used
        return tables(conn)["ready"]["dead_rows"] == 100

    wait_until(are_told, "the dead rows are told")
    conn.execute("vacuum pgq.ready")
    wait_until(lambda: tables(conn)["ready"]["vacuumed_at"], "the vacuum is told")
    assert tables(conn)["ready"]["dead_rows"] == 0
