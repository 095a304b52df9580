from __future__ import annotations

from typing import Any

import pytest

from sql.support import Conn, call, claim_one, insert, refused, row

VALUES: dict[str, Any] = {
    "lease": "20 seconds",
    "heartbeat": "6 seconds",
    "poll": "2 seconds",
    "max_attempts": 2,
    "max_crashes": 4,
    "timeout": "1 minute",
    "backoff_base": "2 seconds",
    "backoff_max": "3 seconds",
    "payload_limit": 100,
    "result_limit": 200,
    "keep_finished": "4 hours",
    "keep_dead": "5 hours",
    "unknown_task_after": "6 minutes",
    "solo_children": 3,
}


def settings(conn: Conn) -> dict[str, str]:
    found = row(conn, "select * from pgq.setting")
    return {name: str(found[name]) for name in VALUES}


@pytest.mark.parametrize("name", VALUES)
def test_each_value_is_set_alone(conn: Conn, name: str) -> None:
    plain = settings(conn)
    call(conn, "configure", **{name: VALUES[name]})
    found = settings(conn)
    assert found[name] != plain[name]
    assert {**found, name: plain[name]} == plain


def test_value_holds_where_neither_queue_nor_job_has_its_own(conn: Conn) -> None:
    call(conn, "configure", max_attempts=2)
    call(conn, "configure_queue", queue="own", max_attempts=3)
    insert(conn)
    insert(conn, queue="own")
    insert(conn, queue="jobs", max_attempts=4)
    got = [claim_one(conn, queues=[each])["max_attempts"] for each in ("default", "own", "jobs")]
    assert got == [2, 3, 4]


def test_workers_take_it_when_they_register(conn: Conn) -> None:
    call(conn, "configure", lease="1 minute", heartbeat="10 seconds", solo_children=7)
    (told,) = call(conn, "register_worker", name="w", queues=["default"], slots=1)
    assert (told["lease"].seconds, told["heartbeat"].seconds, told["solo_children"]) == (60, 10, 7)


@pytest.mark.parametrize(
    "bad",
    [
        {"lease": "10 seconds"},
        {"lease": "0"},
        {"heartbeat": "-1 s"},
        {"heartbeat": "8 seconds"},
        {"poll": "0"},
        {"max_attempts": 0},
        {"max_crashes": 0},
        {"solo_children": 0},
        {"payload_limit": 0},
        {"result_limit": -1},
        {"timeout": "0"},
        {"backoff_base": "-1 s"},
        {"keep_dead": "-1 s"},
    ],
)
def test_bad_value_is_refused_with_all_others(conn: Conn, bad: dict[str, Any]) -> None:
    before = settings(conn)
    with refused("PQ005") as said:
        call(conn, "configure", **{"keep_finished": "1 s", **bad})
    (name,) = bad
    assert name in said.message + said.detail
    assert settings(conn) == before
