from __future__ import annotations

from typing import Any

import pytest

from sql.support import Conn, Row, call, hold, refused, running


def write(conn: Conn, lease: Row, count: int) -> None:
    for _ in range(count):
        call(conn, "log", **hold(lease), message="line", progress=0.5)


def tail(conn: Conn, after: dict[int, int], **arguments: Any) -> list[tuple[int, int]]:
    found = call(conn, "tail_logs", ids=list(after), afters=list(after.values()), **arguments)
    return [(each["id"], each["n"]) for each in found]


def test_each_log_goes_on_after_its_number(conn: Conn) -> None:
    one, two, silent = (running(conn) for _ in range(3))
    write(conn, one, 3)
    write(conn, two, 2)
    after = {one["id"]: 1, two["id"]: 0, silent["id"]: 0}
    assert tail(conn, after) == [
        (one["id"], 2), (one["id"], 3), (two["id"], 1), (two["id"], 2)
    ]  # fmt: skip
    assert tail(conn, {one["id"]: 3, two["id"]: 2}) == []


def test_lines_say_what_list_logs_says(conn: Conn) -> None:
    lease = running(conn)
    write(conn, lease, 1)
    (line,) = call(conn, "tail_logs", ids=[lease["id"]], afters=[None])
    (listed,) = call(conn, "list_logs", id=lease["id"])
    assert line == {"id": lease["id"]} | listed


def test_log_that_is_far_behind_leaves_room_for_the_others(conn: Conn) -> None:
    long, short = running(conn), running(conn)
    write(conn, long, 9)
    write(conn, short, 1)
    silent = {running(conn)["id"]: 0 for _ in range(3)}
    after = {long["id"]: 0, short["id"]: 0, **silent}
    assert tail(conn, after, limit=4) == [(long["id"], 1), (long["id"], 2), (short["id"], 1)]
    assert len(tail(conn, after, limit=1)) == 2


def test_following_a_full_answer_misses_no_line(conn: Conn) -> None:
    leases = [running(conn) for _ in range(3)]
    for count, lease in enumerate(leases, start=5):
        write(conn, lease, count)
    after = {lease["id"]: 0 for lease in leases}
    while found := tail(conn, after, limit=6):
        for job, n in found:
            assert n == after[job] + 1
            after[job] = n
    assert list(after.values()) == [5, 6, 7]


def test_unknown_jobs_have_no_lines(conn: Conn) -> None:
    assert tail(conn, {1: 0}) == []
    assert call(conn, "tail_logs", ids=None, afters=None) == []
    assert call(conn, "tail_logs", ids=[None], afters=[0]) == []


@pytest.mark.parametrize("limit", [0, 10_001, None])
def test_bad_limit_is_refused(conn: Conn, limit: int | None) -> None:
    with refused("PQ005"):
        tail(conn, {}, limit=limit)
