from __future__ import annotations

import pytest

from sql.support import Conn, answer, claim, insert, refused


def test_resumed_queue_is_claimed_from_again(conn: Conn) -> None:
    (job,) = insert(conn)
    answer(conn, "pause", queue="default")
    assert claim(conn) == []
    assert answer(conn, "resume", queue="default") is True
    assert [each["id"] for each in claim(conn)] == [job]


def test_queue_that_was_not_paused_does_not_change(conn: Conn) -> None:
    assert answer(conn, "resume", queue="default") is False
    answer(conn, "pause", queue="default")
    answer(conn, "resume", queue="default")
    assert answer(conn, "resume", queue="default") is False


@pytest.mark.parametrize("queue", ["", "x" * 201, None])
def test_bad_name_is_refused(conn: Conn, queue: str | None) -> None:
    with refused("PQ005"):
        answer(conn, "resume", queue=queue)
