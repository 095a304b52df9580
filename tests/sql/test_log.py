"""log: a line of a running job."""

from __future__ import annotations

from typing import Any

import pytest

from sql.support import (
    Conn,
    answer,
    call,
    claim_one,
    hold,
    hold_all,
    lose,
    refused,
    register,
    row,
    rows,
    running,
    value,
)


def test_lines_are_numbered_from_1_within_a_job(conn: Conn) -> None:
    one, two = running(conn), running(conn)
    assert [answer(conn, "log", **hold(one), message=text) for text in "abc"] == [1, 2, 3]
    assert answer(conn, "log", **hold(two), message="a") == 1


def test_line_is_kept_as_it_was_said(conn: Conn) -> None:
    lease = running(conn)
    answer(conn, "log", **hold(lease), message="héllo", level="warning", progress=0.25)
    line = row(conn, "select * from pgq.log")
    assert (line["job_id"], line["n"], line["attempt"]) == (lease["id"], 1, 1)
    assert (line["level"], line["message"], line["progress"]) == ("warning", "héllo", 0.25)


def test_line_is_plain_information_unless_it_says_more(conn: Conn) -> None:
    answer(conn, "log", **hold(running(conn)), message="a")
    assert row(conn, "select level, progress from pgq.log") == {"level": "info", "progress": None}


def test_numbers_go_on_over_attempts(conn: Conn) -> None:
    lease = running(conn)
    answer(conn, "log", **hold(lease), message="first")
    call(conn, "fail", **hold(lease), retry_in="0")
    answer(conn, "promote")
    assert answer(conn, "log", **hold(claim_one(conn)), message="second") == 2
    assert [each["attempt"] for each in rows(conn, "select * from pgq.log order by n")] == [1, 2]


def test_late_worker_cannot_log(conn: Conn) -> None:
    worker = register(conn)
    lease = running(conn, worker=worker)
    lose(conn, worker)
    with refused("PQ001"):
        answer(conn, "log", **hold(lease), message="late")
    claim_one(conn)
    with refused("PQ001"):
        answer(conn, "log", **hold(lease), message="late")
    assert value(conn, "select count(*) from pgq.log") == 0


def test_full_log_takes_no_more(conn: Conn) -> None:
    conn.execute("update pgq.setting set log_lines = 3")
    lease = running(conn)
    assert [answer(conn, "log", **hold(lease), message=text) for text in "abcde"] == [
        1,
        2,
        3,
        None,
        None,
    ]
    lines = rows(conn, "select level, message from pgq.log order by n")
    assert [each["message"] for each in lines[:2]] == ["a", "b"]
    assert lines[2]["level"] == "warning"
    assert "full" in lines[2]["message"]
    assert len(lines) == 3


@pytest.mark.parametrize(
    "arguments", [{"level": "loud"}, {"progress": 1.5}, {"progress": -0.1}], ids=str
)
def test_bad_argument_is_refused(conn: Conn, arguments: dict[str, Any]) -> None:
    lease = running(conn)
    with refused("PQ005") as said:
        answer(conn, "log", **hold(lease), message="a", **arguments)
    assert said.detail
    assert said.hint
    assert value(conn, "select count(*) from pgq.log") == 0


def test_job_that_was_given_back_takes_no_line(conn: Conn) -> None:
    lease = running(conn)
    call(conn, "release", **hold_all(lease))
    with refused("PQ001"):
        answer(conn, "log", **hold(lease), message="a")
