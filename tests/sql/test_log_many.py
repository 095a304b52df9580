"""log_many: batches of lines, bounded for each job."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

from sql.support import (
    Conn,
    Row,
    call,
    connect,
    hold,
    hold_all,
    in_background,
    refused,
    row,
    rows,
    running,
    value,
    wait_for_lock,
)


def lines(conn: Conn, lease: Row) -> list[Row]:
    return rows(conn, "select * from pgq.log where job_id = %s order by n", [lease["id"]])


def say(conn: Conn, lease: Row, *messages: str | None, **arguments: Any) -> list[Row]:
    return call(
        conn,
        "log_many",
        **hold_all(*[lease] * len(messages)),
        messages=list(messages),
        **arguments,
    )


def test_lines_keep_their_order(conn: Conn) -> None:
    lease = running(conn)
    assert say(conn, lease, "a", "b", "c") == []
    say(conn, lease, "d")
    assert [(each["n"], each["message"]) for each in lines(conn, lease)] == [
        (1, "a"),
        (2, "b"),
        (3, "c"),
        (4, "d"),
    ]


def test_lines_of_several_jobs_are_numbered_apart(conn: Conn) -> None:
    one, two = running(conn), running(conn)
    call(
        conn,
        "log_many",
        **hold_all(two, one, two, one),
        messages=["a", "b", "c", "d"],
        levels=["debug", None, "error", "critical"],
        progresses=[None, 0.5, 1.0, 0.0],
    )
    assert [(each["n"], each["message"], each["level"]) for each in lines(conn, one)] == [
        (1, "b", "info"),
        (2, "d", "critical"),
    ]
    assert [each["progress"] for each in lines(conn, two)] == [None, 1.0]


def test_lines_are_as_old_as_they_say(conn: Conn) -> None:
    lease = running(conn)
    say(conn, lease, "a", "b", ages=[60.0, None])
    old, new = lines(conn, lease)
    assert new["at"] - old["at"] > timedelta(seconds=59)


def test_jobs_that_are_lost_are_told(conn: Conn) -> None:
    kept, lost = running(conn), running(conn)
    call(conn, "release", **hold_all(lost))
    answered = call(
        conn,
        "log_many",
        ids=[lost["id"], kept["id"], lost["id"], 7],
        tokens=[lost["token"], kept["token"], lost["token"], uuid.uuid4()],
        messages=["a", "b", "c", "d"],
    )
    assert {each["id"] for each in answered} == {lost["id"], 7}
    assert lines(conn, lost) == []
    assert len(lines(conn, kept)) == 1


def test_log_is_bounded_by_lines(conn: Conn) -> None:
    conn.execute("update pgq.setting set log_lines = 5")
    lease = running(conn)
    say(conn, lease, *"abc")
    say(conn, lease, *"defgh")
    say(conn, lease, *"ij")
    kept = lines(conn, lease)
    assert [each["message"] for each in kept[:4]] == ["a", "b", "c", "d"]
    assert "full" in kept[4]["message"]
    assert len(kept) == 5


def test_log_is_bounded_by_bytes(conn: Conn) -> None:
    conn.execute("update pgq.setting set log_bytes = 100")
    lease = running(conn)
    say(conn, lease, "é" * 40)
    say(conn, lease, "é" * 40, "é" * 40)
    say(conn, lease, "a")
    kept = lines(conn, lease)
    assert [each["message"] for each in kept[:1]] == ["é" * 40]
    assert "full" in kept[1]["message"]
    assert len(kept) == 2


def test_bound_is_each_jobs_own(conn: Conn) -> None:
    conn.execute("update pgq.setting set log_lines = 3")
    one, two = running(conn), running(conn)
    say(conn, one, *"abcdef")
    call(conn, "log_many", **hold_all(one, two), messages=["g", "h"])
    assert [each["message"] for each in lines(conn, two)] == ["h"]


def test_bounds_are_10_000_lines_and_a_mebibyte(conn: Conn) -> None:
    lease, long = running(conn), running(conn)
    say(conn, lease, *["x"] * 12_000)
    assert value(conn, "select max(n) from pgq.log") == 10_000
    say(conn, long, *["y" * 100_000] * 12)
    assert len(lines(conn, long)) == 11
    assert value(conn, "select sum(octet_length(message)) < 1048576 from pgq.log")


def test_long_line_is_cut(conn: Conn) -> None:
    lease = running(conn)
    say(conn, lease, "z" * 200_000)
    assert row(conn, "select length(message) as n from pgq.log") == {"n": 100_000}


def test_line_of_nothing_is_left_out(conn: Conn) -> None:
    lease = running(conn)
    say(conn, lease, None, "a", None)
    assert [each["message"] for each in lines(conn, lease)] == ["a"]


def test_bad_line_keeps_none(conn: Conn) -> None:
    lease = running(conn)
    with refused("PQ005") as said:
        say(conn, lease, "a", "b", levels=["info", "loud"])
    assert "loud" in said.detail
    assert said.hint
    assert lines(conn, lease) == []


def test_two_writers_of_one_job_do_not_number_a_line_twice(conn: Conn, dsn: str) -> None:
    lease = running(conn)
    with connect(dsn, autocommit=False) as one, connect(dsn) as two:
        say(one, lease, "a", "b")
        with in_background(lambda: say(two, lease, "c")) as other:
            wait_for_lock(conn, two)
            one.commit()
            other.result()
    assert [(each["n"], each["message"]) for each in lines(conn, lease)] == [
        (1, "a"),
        (2, "b"),
        (3, "c"),
    ]


def test_line_does_not_wait_for_a_completion(conn: Conn, dsn: str) -> None:
    lease = running(conn)
    conn.execute("set lock_timeout = '1ms'")
    with connect(dsn, autocommit=False) as user:
        call(user, "complete", **hold(lease))
        say(conn, lease, "a")
        user.commit()
    assert len(lines(conn, lease)) == 1
