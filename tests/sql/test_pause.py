from __future__ import annotations

import pytest

from sql.support import Conn, answer, call, claim, insert, refused, row, running, state


def test_nobody_claims_from_a_paused_queue(conn: Conn) -> None:
    insert(conn)
    (elsewhere,) = insert(conn, queue="other")
    assert answer(conn, "pause", queue="default") is True
    got = claim(conn, queues=["default", "other"], limits=5)
    assert [each["id"] for each in got] == [elsewhere]


def test_what_runs_goes_on(conn: Conn) -> None:
    lease = running(conn)
    answer(conn, "pause", queue="default")
    answer(conn, "complete", id=lease["id"], token=lease["token"])
    assert state(conn, lease["id"]) == "succeeded"


def test_pausing_again_keeps_the_time_of_the_first(conn: Conn) -> None:
    answer(conn, "pause", queue="default")
    paused = row(conn, "select paused_at from pgq.list_queues()")
    assert answer(conn, "pause", queue="default") is False
    assert row(conn, "select paused_at from pgq.list_queues()") == paused


def test_queue_may_be_paused_before_its_first_job(conn: Conn) -> None:
    answer(conn, "pause", queue="new")
    insert(conn, queue="new")
    assert claim(conn, queues=["new"]) == []


def test_settings_of_the_queue_stay(conn: Conn) -> None:
    call(conn, "configure_queue", queue="default", max_attempts=2)
    answer(conn, "pause", queue="default")
    answer(conn, "resume", queue="default")
    assert row(conn, "select max_attempts, paused_at from pgq.list_queues()") == {
        "max_attempts": 2,
        "paused_at": None,
    }


@pytest.mark.parametrize("queue", ["", "x" * 201, None])
def test_bad_name_is_refused(conn: Conn, queue: str | None) -> None:
    with refused("PQ005"):
        answer(conn, "pause", queue=queue)
