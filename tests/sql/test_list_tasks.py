from __future__ import annotations

import json
from typing import Any

import pytest

from sql.support import Conn, Row, call, move_clock, refused

MAIL = {"type": "object", "properties": {"to": {"type": "string"}}}


def register(conn: Conn, tasks: dict[str, Any] | None, *queues: str) -> int:
    info = json.dumps({"pid": 7} | ({} if tasks is None else {"tasks": tasks}))
    (made,) = call(
        conn, "register_worker", name="w", queues=list(queues) or ["default"], slots=1, info=info
    )
    return int(made["worker"])


def tasks(conn: Conn) -> dict[str, Row]:
    return {each.pop("task"): each for each in call(conn, "list_tasks")}


def test_tasks_are_those_that_live_workers_know(conn: Conn) -> None:
    register(conn, {"mail": MAIL, "sweep": None}, "a", "b")
    register(conn, {"mail": MAIL}, "b", "c")
    gone = register(conn, {"old": MAIL}, "d")
    call(conn, "heartbeat", worker=gone, ids=[], tokens=[], state="offline")
    assert tasks(conn) == {
        "mail": {"schema": MAIL, "queues": ["a", "b", "c"], "workers": 2},
        "sweep": {"schema": None, "queues": ["a", "b"], "workers": 1},
    }
    move_clock(conn, "1 hour")
    assert tasks(conn) == {}


def test_schema_is_that_of_the_newest_worker(conn: Conn) -> None:
    register(conn, {"mail": {}})
    register(conn, {"mail": MAIL})
    assert tasks(conn)["mail"]["schema"] == MAIL


def test_worker_need_not_tell(conn: Conn) -> None:
    register(conn, None)
    call(conn, "register_worker", name="w", queues=["a"], slots=1, info=None)
    assert tasks(conn) == {}


def test_list_of_workers_does_not_carry_schemas(conn: Conn) -> None:
    worker = register(conn, {"mail": MAIL})
    assert call(conn, "list_workers")[0]["info"] == {"pid": 7}
    assert call(conn, "get_worker", id=worker)[0]["info"] == {"pid": 7}


@pytest.mark.parametrize("info", ["[]", '"text"', '{"tasks": []}', '{"tasks": "mail"}'])
def test_bad_info_is_refused(conn: Conn, info: str) -> None:
    with refused("PQ005") as said:
        call(conn, "register_worker", name="w", queues=["a"], slots=1, info=info)
    assert info in said.detail
    assert call(conn, "list_workers") == []
