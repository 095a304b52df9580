from __future__ import annotations

import json
from typing import Any

import pytest

from sql.states import assert_counters_are_right, end_holders_after_each_insert
from sql.support import (
    Conn,
    answer,
    call,
    claim,
    connect,
    hold,
    in_background,
    insert,
    refused,
    row,
    rows,
    running,
    value,
    wait_for_lock,
)


def enqueue(conn: Conn, *jobs: Any) -> list[dict[str, Any]]:
    return call(conn, "enqueue_many", jobs=json.dumps(jobs))


def test_jobs_run_in_the_order_of_the_array(conn: Conn) -> None:
    made = enqueue(conn, *({"task": "echo", "payload": n} for n in range(200)))
    assert [each["n"] for each in made] == list(range(1, 201))
    assert all(each["created"] for each in made)
    taken = claim(conn, limits=200)
    assert [each["id"] for each in taken] == [each["id"] for each in made]
    assert [each["payload"] for each in taken] == list(range(200))
    assert_counters_are_right(conn)


def test_empty_array_makes_nothing(conn: Conn) -> None:
    assert enqueue(conn) == []


def test_every_field_reaches_the_job(conn: Conn) -> None:
    enqueue(
        conn,
        {
            "task": "send",
            "payload": {"to": "me"},
            "queue": "mail",
            "priority": 2,
            "run_at": "2100-01-01T00:00:00Z",
            "max_attempts": 7,
            "timeout": "1 minute",
            "backoff_base": 2,
            "backoff_max": "3 seconds",
            "unique_key": "k",
            "tags": ["a", "b"],
            "headers": {"h": 1},
        },
    )
    found = row(conn, "select j.*, j.timeout::text as t, j.backoff_base::text as b from pgq.job j")
    assert (found["task"], found["queue"], found["priority"]) == ("send", "mail", 2)
    assert (found["payload"], found["headers"]) == ({"to": "me"}, {"h": 1})
    assert (found["run_at"].year, found["max_attempts"]) == (2100, 7)
    assert (found["t"], found["b"]) == ("00:01:00", "00:00:02")
    assert (found["unique_key"], found["tags"]) == ("k", ["a", "b"])


def test_fields_left_out_are_those_of_an_insert(conn: Conn) -> None:
    enqueue(conn, {"task": "echo"})
    insert(conn)
    queried = rows(conn, "select (to_jsonb(j) - 'id' - 'created_at')::text as job from pgq.job j")
    assert queried[0] == queried[1]


@pytest.mark.parametrize("payload", [None, 0, "x", [], {}, [None]])
def test_payload_is_any_json(conn: Conn, payload: object) -> None:
    enqueue(conn, {"task": "echo", "payload": payload})
    assert claim(conn)[0]["payload"] == payload


@pytest.mark.parametrize("delay", [3600, 3600.5, "1 hour"])
def test_delay_is_seconds_or_an_interval(conn: Conn, delay: object) -> None:
    enqueue(conn, {"task": "echo", "delay": delay})
    seconds = value(conn, "select extract(epoch from run_at - now()) from pgq.job")
    assert 3500 < seconds < 3601


def test_taken_keys_return_the_jobs_that_have_them(conn: Conn) -> None:
    (there,) = insert(conn, unique_key="there")
    made = enqueue(
        conn,
        {"task": "echo", "unique_key": "new"},
        {"task": "echo", "unique_key": "there"},
        {"task": "echo"},
        {"task": "echo", "unique_key": "new"},
    )
    assert [each["created"] for each in made] == [True, False, True, False]
    assert made[1]["id"] == there
    assert made[3]["id"] == made[0]["id"]
    assert value(conn, "select count(*) from pgq.ready") == 3
    assert_counters_are_right(conn)


def test_key_that_is_freed_while_it_waits_makes_a_new_job(conn: Conn, dsn: str) -> None:
    lease = running(conn, unique_key="k")
    with connect(dsn, autocommit=False) as worker, connect(dsn) as producer:
        answer(worker, "complete", **hold(lease))
        jobs = ({"task": "a"}, {"task": "b", "unique_key": "k"})
        with in_background(lambda: enqueue(producer, *jobs)) as made:
            wait_for_lock(conn, producer)
            worker.commit()
        assert [each["created"] for each in made.result()] == [True, True]


def test_key_that_is_freed_before_its_holder_is_looked_up_makes_a_new_job(conn: Conn) -> None:
    insert(conn, unique_key="k")
    end_holders_after_each_insert(conn)
    made = enqueue(conn, {"task": "a"}, {"task": "b", "unique_key": "k"})
    assert [each["created"] for each in made] == [True, True]
    assert value(conn, "select count(*) from pgq.job") == 3


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        ({"task": "echo", "prio": 1}, "prio"),
        ({"task": "echo", "id": 1}, "id"),
        ({"task": "echo", "priority": 10}, "priority"),
        ({"task": "echo", "priority": "high"}, "priority"),
        ({"task": "echo", "timeout": "soon"}, "timeout"),
        ({"task": "echo", "timeout": -1}, "timeout"),
        ({"task": "echo", "tags": "a"}, "tags"),
        ({"task": "echo", "headers": [1]}, "headers"),
        ({"task": "echo", "delay": "x"}, "delay"),
        ({"task": "echo", "delay": -1}, "delay"),
        ({"task": "echo", "delay": {}}, "delay"),
        ({"task": "echo", "delay": 1, "run_at": "2100-01-01"}, "delay"),
        ({"task": "echo", "run_at": "never"}, "run_at"),
        ({"task": "echo", "max_attempts": 0}, "max_attempts"),
        ({"task": "echo", "queue": ""}, "queue"),
        ({"task": ""}, "task"),
        ({}, "task"),
        (3, "job"),
        (None, "job"),
    ],
)
def test_bad_item_is_refused_by_number_with_its_field(conn: Conn, bad: object, field: str) -> None:
    with refused("PQ005") as said:
        enqueue(conn, {"task": "echo"}, bad, {"task": ""})
    assert said.message.startswith("item 2: ")
    assert field in said.message
    assert said.detail
    assert said.hint
    assert value(conn, "select count(*) from pgq.job") == 0


@pytest.mark.parametrize("jobs", ["{}", "null", "3"])
def test_what_is_no_array_is_refused(conn: Conn, jobs: str) -> None:
    with refused("PQ005"):
        call(conn, "enqueue_many", jobs=jobs)
    with refused("PQ005"):
        call(conn, "enqueue_many", jobs=None)


def test_payload_that_json_functions_cannot_read_is_refused_by_its_number(conn: Conn) -> None:
    with refused("PQ005") as said:
        conn.execute(
            "select pgq.enqueue_many(%s)", [r'[{"task": "a"}, {"task": "b", "payload": "\u0000"}]']
        )
    assert "item 2" in said.message
