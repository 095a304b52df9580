from __future__ import annotations

from typing import Any

import pytest

from sql.states import job_in
from sql.support import Conn, acting, answer, call, connect, insert, refused, value


def told(conn: Conn, operation: int) -> dict[str, Any]:
    (found,) = call(conn, "get_operation", id=operation)
    return found


def test_nothing_moves_before_upkeep_does_it(conn: Conn) -> None:
    insert(conn, 3)
    operation = answer(conn, "start_operation", verb="cancel", queue="default", by="ann")
    found = told(conn, operation)
    assert (found["state"], found["found"], found["done"]) == ("running", 0, 0)
    assert (found["verb"], found["by"], found["filter"]) == ("cancel", "ann", {"queue": "default"})
    assert value(conn, "select count(*) from pgq.ready") == 3


def test_how_many_there_are_is_told(conn: Conn) -> None:
    jobs = [job_in(conn, "dead") for _ in range(3)]
    insert(conn, 2)
    for arguments, expected in (
        ({"queue": "default"}, 3),
        ({"ids": jobs[:2]}, 2),
        ({"queue": "default", "limit": 2}, 2),
        ({"queue": "none"}, 0),
    ):
        operation = answer(conn, "start_operation", verb="retry", **arguments)
        assert told(conn, operation)["expected"] == expected


def test_of_many_it_is_not_told(conn: Conn) -> None:
    insert(conn, 10_001)
    operation = answer(conn, "start_operation", verb="cancel", queue="default")
    assert told(conn, operation)["expected"] is None


@pytest.mark.parametrize(
    "bad",
    [
        {"verb": None, "queue": "q"},
        {"verb": "delete", "queue": "q"},
        {"verb": "cancel"},
        {"verb": "cancel", "queues": ["q"]},
        {"verb": "cancel", "queue": "q", "limit": 0},
        {"verb": "cancel", "queue": "q", "rate": 0},
        {"verb": "cancel", "queue": "q", "rate": -1},
        {"verb": "cancel", "queue": "q", "rate": "nan"},
        {"verb": "cancel", "queue": "q", "rate": "infinity"},
        {"verb": "cancel", "queue": "q", "payload": "{}"},
        {"verb": "retry", "queue": "q", "payload": "[]"},
        {"verb": "retry", "state": "ready"},
        {"verb": "cancel", "state": "dead"},
        {"verb": "cancel", "fingerprint": "f"},
        {"verb": "cancel", "state": "x"},
        {"verb": "cancel", "path": ["a"]},
        {"verb": "cancel", "queue": "q", "by": "x" * 201},
        {"verb": "cancel", "ids": list(range(10_001))},
    ],
)
def test_bad_argument_is_refused(conn: Conn, bad: dict[str, Any]) -> None:
    with refused("PQ005") as said:
        call(conn, "start_operation", **bad)
    assert said.detail
    assert value(conn, "select count(*) from pgq.operation") == 0


def test_only_operators_start_one(conn: Conn, dsn: str) -> None:
    with connect(dsn) as other:
        with acting(other, "pgq_operator"):
            operation = answer(other, "start_operation", verb="cancel", path=["a"], value="1")
        with acting(other, "pgq_viewer"):
            assert told(other, operation)["filter"] == {"path": ["a"], "value": "1"}
        for verb, arguments in (
            ("start_operation", {"verb": "cancel", "queue": "q"}),
            ("stop_operation", {"id": operation}),
            ("operate", {}),
        ):
            with refused("42501"), acting(other, "pgq_viewer"):
                answer(other, verb, **arguments)
