from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from sql.states import STATES, assert_counters_are_right, assert_refuses_unknown_jobs, job_in
from sql.support import Conn, answer, insert, refused, row, state, value

COPIED = (
    "task, payload::text, queue, priority, max_attempts, timeout, backoff_base, backoff_max, tags,"
    " headers::text"
)


def job(conn: Conn, id_: int) -> dict[str, Any]:
    return row(conn, f"select {COPIED} from pgq.job where id = %s", [id_])


@pytest.mark.parametrize("wanted", STATES)
def test_new_job_like_one_in_any_state(conn: Conn, wanted: str) -> None:
    original = job_in(
        conn,
        wanted,
        payload='{"n": 1.10,  "big": 1e131071}',
        queue="q",
        priority=7,
        max_attempts=9,
        timeout="7s",
        backoff_base="3s",
        backoff_max="5s",
        tags=["a", "b"],
        headers='{"h": "1"}',
    )
    copy = answer(conn, "duplicate", id=original)
    assert job(conn, copy) == job(conn, original)
    assert (state(conn, copy), state(conn, original)) == ("ready", wanted)
    assert value(conn, "select run_at from pgq.job where id = %s", [copy]) is None
    assert_counters_are_right(conn, "q")


def test_what_is_given_replaces_what_was(conn: Conn) -> None:
    (original,) = insert(conn, payload='{"a": 1}', tags=["t"])
    copy = answer(
        conn, "duplicate", id=original, payload="[2]", queue="q", priority=0, run_at="2999-01-01"
    )
    found = job(conn, copy)
    assert (found["payload"], found["queue"], found["priority"]) == ("[2]", "q", 0)
    assert (found["task"], found["tags"]) == ("echo", ["t"])
    assert state(conn, copy) == "scheduled"
    assert job(conn, original)["payload"] == '{"a": 1}'


def test_copy_after_a_delay_is_scheduled(conn: Conn) -> None:
    (original,) = insert(conn)
    copy = answer(conn, "duplicate", id=original, delay="1 hour")
    assert state(conn, copy) == "scheduled"
    left = value(conn, "select run_at - now() from pgq.job where id = %s", [copy])
    assert timedelta(minutes=59) < left <= timedelta(hours=1)


def test_time_and_delay_exclude_each_other(conn: Conn) -> None:
    (original,) = insert(conn)
    with refused("PQ005"):
        answer(conn, "duplicate", id=original, run_at="2999-01-01", delay="1 hour")


def test_unique_key_is_not_copied(conn: Conn) -> None:
    (original,) = insert(conn, unique_key="k")
    copy = answer(conn, "duplicate", id=original)
    assert value(conn, "select unique_key from pgq.job where id = %s", [copy]) is None


@pytest.mark.parametrize(
    "bad", [{"priority": 10}, {"queue": ""}, {"payload": f'"{"x" * 2_000_000}"'}]
)
def test_bad_value_is_refused_as_for_a_new_job(conn: Conn, bad: dict[str, Any]) -> None:
    (original,) = insert(conn)
    with refused("PQ005"):
        answer(conn, "duplicate", id=original, **bad)
    assert value(conn, "select count(*) from pgq.job") == 1


def test_unknown_job_is_refused(conn: Conn) -> None:
    assert_refuses_unknown_jobs(conn, "duplicate")


def test_job_that_is_being_deleted_is_refused(conn: Conn) -> None:
    original = job_in(conn, "cancelled")
    conn.execute("delete from pgq.finished")
    with refused("PQ002"):
        answer(conn, "duplicate", id=original)
