from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from sql.states import STATES, end_holders_after_each_insert, job_in
from sql.support import (
    Conn,
    answer,
    call,
    claim_one,
    connect,
    hold,
    in_background,
    insert,
    refused,
    row,
    running,
    state,
    value,
    wait_for_lock,
)

UNFINISHED = ("scheduled", "ready", "running", "retrying")


def enqueue(conn: Conn, **arguments: Any) -> dict[str, Any]:
    (made,) = call(conn, "enqueue", **{"task": "echo"} | arguments)
    return made


def test_every_argument_reaches_the_job(conn: Conn) -> None:
    given = {
        "payload": "[1,  2]",
        "queue": "mail",
        "priority": 2,
        "run_at": "2100-01-01Z",
        "max_attempts": 7,
        "timeout": "1 minute",
        "backoff_base": "2 seconds",
        "backoff_max": "3 seconds",
        "unique_key": "k",
        "tags": ["a", "b"],
        "headers": '{"h": 1}',
    }
    made = enqueue(conn, **given)
    assert made["created"]
    found = row(
        conn,
        "select j.*, j.payload::text as payload_text, j.timeout::text as timeout_text,"
        " j.backoff_base::text as base_text, j.backoff_max::text as max_text from pgq.job j",
    )
    assert found["payload_text"] == "[1,  2]"
    assert (found["id"], found["task"], found["queue"]) == (made["id"], "echo", "mail")
    assert (found["priority"], found["max_attempts"]) == (2, 7)
    assert (found["timeout_text"], found["base_text"], found["max_text"]) == (
        "00:01:00",
        "00:00:02",
        "00:00:03",
    )
    assert found["run_at"] == datetime.fromisoformat("2100-01-01T00:00:00+00:00")
    assert (found["unique_key"], found["tags"]) == ("k", ["a", "b"])
    assert found["headers"] == {"h": 1}


def test_delay_counts_from_the_call_even_in_a_long_transaction(conn: Conn, dsn: str) -> None:
    with connect(dsn, autocommit=False) as session:
        began = value(session, "select now()")
        session.execute("select pg_sleep(0.1)")
        made = enqueue(session, delay="1 hour")
        due = value(session, "select run_at from pgq.job where id = %s", [made["id"]])
        assert (due - began).total_seconds() >= 3600.1


def test_no_delay_is_ready(conn: Conn) -> None:
    assert state(conn, enqueue(conn, delay="0")["id"]) == "ready"


@pytest.mark.parametrize("bad", [{"delay": "-1 s"}, {"delay": "1 s", "run_at": "2100-01-01"}])
def test_delay_that_makes_no_sense_is_refused(conn: Conn, bad: dict[str, Any]) -> None:
    with refused("PQ005") as said:
        enqueue(conn, **bad)
    assert "delay" in said.message
    assert value(conn, "select count(*) from pgq.job") == 0


@pytest.mark.parametrize("unfinished", UNFINISHED)
def test_unfinished_job_of_the_key_is_returned(conn: Conn, unfinished: str) -> None:
    job = job_in(conn, unfinished, unique_key="k")
    assert enqueue(conn, unique_key="k") == {"id": job, "created": False}


@pytest.mark.parametrize("ended", sorted(set(STATES) - set(UNFINISHED)))
def test_key_of_an_ended_job_is_free(conn: Conn, ended: str) -> None:
    job = job_in(conn, ended, unique_key="k")
    made = enqueue(conn, unique_key="k")
    assert made["created"]
    assert made["id"] != job


def test_key_is_of_its_queue(conn: Conn) -> None:
    insert(conn, unique_key="k")
    assert enqueue(conn, unique_key="k", queue="other")["created"]


def test_key_that_is_freed_while_it_waits_makes_a_new_job(conn: Conn, dsn: str) -> None:
    lease = running(conn, unique_key="k")
    with connect(dsn, autocommit=False) as worker, connect(dsn) as producer:
        answer(worker, "complete", **hold(lease))
        with in_background(lambda: enqueue(producer, unique_key="k")) as made:
            wait_for_lock(conn, producer)
            worker.commit()
        assert made.result()["created"]
        assert made.result()["id"] != lease["id"]


def test_key_that_is_freed_before_its_holder_is_looked_up_makes_a_new_job(conn: Conn) -> None:
    (job,) = insert(conn, unique_key="k")
    end_holders_after_each_insert(conn)
    made = enqueue(conn, unique_key="k")
    assert made["created"]
    assert made["id"] != job


def test_key_that_is_taken_while_it_waits_returns_that_job(conn: Conn, dsn: str) -> None:
    with connect(dsn, autocommit=False) as other, connect(dsn) as producer:
        first = enqueue(other, unique_key="k")
        with in_background(lambda: enqueue(producer, unique_key="k")) as made:
            wait_for_lock(conn, producer)
            other.commit()
        assert made.result() == {"id": first["id"], "created": False}


def test_rolled_back_enqueue_frees_its_key(conn: Conn, dsn: str) -> None:
    with connect(dsn, autocommit=False) as session:
        enqueue(session, unique_key="k")
        session.rollback()
    assert enqueue(conn, unique_key="k")["created"]
    assert claim_one(conn)["task"] == "echo"
