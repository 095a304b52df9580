from __future__ import annotations

from sql.support import Conn, call, move_clock, register


def test_what_workers_said_is_listed(conn: Conn) -> None:
    (made,) = call(
        conn, "register_worker", name="box-1", queues=["a", "b"], slots=4, info='{"pid": 7}'
    )
    call(conn, "heartbeat", worker=made["worker"], ids=[], tokens=[], busy=3, state="busy")
    (found,) = call(conn, "list_workers")
    assert (found["id"], found["name"], found["state"]) == (made["worker"], "box-1", "busy")
    assert (found["queues"], found["slots"], found["busy"]) == (["a", "b"], 4, 3)
    assert found["info"] == {"pid": 7}


def test_worker_that_expired_is_offline_before_upkeep_says_so(conn: Conn) -> None:
    register(conn)
    move_clock(conn, "1 hour")
    assert [each["state"] for each in call(conn, "list_workers")] == ["offline"]


def test_worker_that_went_is_offline(conn: Conn) -> None:
    worker = register(conn)
    call(conn, "heartbeat", worker=worker, ids=[], tokens=[], busy=0, state="offline")
    assert [each["state"] for each in call(conn, "list_workers")] == ["offline"]
