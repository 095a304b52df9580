from __future__ import annotations

import pytest

from sql.support import Conn, call, move_clock, refused, register


def test_it_says_what_the_list_says(conn: Conn) -> None:
    register(conn, "other")
    worker = register(conn, "a", "b", slots=7, name="host.1")
    call(conn, "heartbeat", worker=worker, ids=[], tokens=[], busy=3, state="busy")
    (found,) = call(conn, "get_worker", id=worker)
    assert found == call(conn, "list_workers")[1]
    assert (found["id"], found["name"], found["state"]) == (worker, "host.1", "busy")


def test_worker_that_expired_is_offline(conn: Conn) -> None:
    worker = register(conn)
    move_clock(conn, "1 hour")
    assert call(conn, "get_worker", id=worker)[0]["state"] == "offline"


@pytest.mark.parametrize("unknown", [77, None])
def test_unknown_worker_is_refused(conn: Conn, unknown: int | None) -> None:
    register(conn)
    with refused("PQ009") as said:
        call(conn, "get_worker", id=unknown)
    assert str(unknown or "null") in said.message
    assert "list_workers" in said.hint
