from __future__ import annotations

from sql.support import Conn, Row, answer, call, hold, refused, running


def logged(conn: Conn, count: int) -> Row:
    lease = running(conn)
    for n in range(1, count + 1):
        answer(conn, "log", **hold(lease), message=f"line {n}")
    return lease


def test_lines_come_in_their_order(conn: Conn) -> None:
    lease = logged(conn, 3)
    answer(conn, "log", **hold(lease), message="half", level="warning", progress=0.5)
    found = call(conn, "list_logs", id=lease["id"])
    assert [(each["n"], each["message"]) for each in found] == [
        (1, "line 1"),
        (2, "line 2"),
        (3, "line 3"),
        (4, "half"),
    ]
    assert (found[3]["level"], found[3]["progress"], found[3]["attempt"]) == ("warning", 0.5, 1)


def test_following_goes_on_after_a_number(conn: Conn) -> None:
    lease = logged(conn, 5)
    seen: list[int] = []
    while page := call(conn, "list_logs", id=lease["id"], after=seen[-1] if seen else 0, limit=2):
        seen += [each["n"] for each in page]
    assert seen == [1, 2, 3, 4, 5]


def test_the_last_lines_come_in_their_order_too(conn: Conn) -> None:
    lease = logged(conn, 5)
    found = call(conn, "list_logs", id=lease["id"], limit=2, newest=True)
    assert [each["n"] for each in found] == [4, 5]


def test_lines_of_other_jobs_are_not_among_them(conn: Conn) -> None:
    logged(conn, 2)
    other = running(conn)
    assert call(conn, "list_logs", id=other["id"]) == []


def test_bad_limit_is_refused(conn: Conn) -> None:
    with refused("PQ005"):
        call(conn, "list_logs", id=1, limit=0)
