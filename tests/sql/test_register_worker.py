"""register_worker: a process that will send heartbeats."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from sql.support import Conn, call, refused, register, row


def test_worker_hears_what_it_has_to_keep_to(conn: Conn) -> None:
    call(
        conn,
        "configure",
        lease="31 seconds",
        heartbeat="7 seconds",
        poll="3 seconds",
        solo_children=4,
    )
    (found,) = call(conn, "register_worker", name="w", queues=["a"], slots=2)
    del found["worker"]
    assert found == {
        "lease": timedelta(seconds=31),
        "heartbeat": timedelta(seconds=7),
        "poll": timedelta(seconds=3),
        "solo_children": 4,
    }


def test_worker_is_written_down(conn: Conn) -> None:
    (found,) = call(
        conn, "register_worker", name="w", queues=["a", "b"], slots=2, info='{"pid": 1}'
    )
    worker = row(conn, "select * from pgq.worker")
    assert worker["id"] == found["worker"]
    assert (worker["name"], worker["queues"], worker["slots"]) == ("w", ["a", "b"], 2)
    assert (worker["state"], worker["info"]) == ("available", {"pid": 1})


def test_worker_lives_one_lease_on_the_lease_clock(conn: Conn) -> None:
    conn.execute("insert into pgq.lease_clock (at, clock) values (now(), '2001-01-01')")
    register(conn)
    left = row(conn, "select expires_at - pgq._clock() as left from pgq.worker")["left"]
    assert left == timedelta(seconds=15)


def test_registering_again_is_another_worker(conn: Conn) -> None:
    assert register(conn) != register(conn)


@pytest.mark.parametrize(
    "arguments",
    [
        {"name": ""},
        {"name": None},
        {"name": "n" * 201},
        {"queues": []},
        {"queues": None},
        {"slots": 0},
        {"slots": None},
    ],
    ids=str,
)
def test_bad_argument_is_refused(conn: Conn, arguments: dict[str, Any]) -> None:
    with refused("PQ005") as said:
        call(conn, "register_worker", **({"name": "w", "queues": ["a"], "slots": 1} | arguments))
    assert said.detail
    assert said.hint
    assert row(conn, "select count(*) as n from pgq.worker") == {"n": 0}
