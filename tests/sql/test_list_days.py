from __future__ import annotations

from sql.support import Conn, Row, call, day_of_ids, insert, value


def by_day(conn: Conn) -> dict[int, Row]:
    epoch = value(conn, "select date '1970-01-01'")
    return {(each["day"] - epoch).days: each for each in call(conn, "list_days")}


def today(conn: Conn) -> int:
    return int(value(conn, "select pgq._today()"))


def test_each_day_is_told_once_with_its_size(conn: Conn) -> None:
    before = by_day(conn)
    assert set(before) == set(range(today(conn), today(conn) + 8))
    insert(conn, 5000)
    after = by_day(conn)
    assert after[today(conn)]["size_bytes"] > before[today(conn)]["size_bytes"]
    assert not any(each["expired"] for each in after.values())


def test_day_that_nobody_has_to_keep_has_expired(conn: Conn) -> None:
    old, young = day_of_ids(conn, 40), day_of_ids(conn, 29)
    found = by_day(conn)
    assert (found[old]["expired"], found[old]["is_live"]) == (True, False)
    assert not found[young]["expired"]
    conn.execute("insert into pgq.queue (queue, keep_dead) values ('q', interval '60 days')")
    assert not by_day(conn)[old]["expired"]


def test_expired_day_is_live_with_an_unfinished_job(conn: Conn) -> None:
    old = day_of_ids(conn, 40)
    insert(conn)
    assert by_day(conn)[old]["is_live"]
