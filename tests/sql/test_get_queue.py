from __future__ import annotations

from datetime import timedelta

import pytest

from sql.states import STATES, job_in
from sql.support import Conn, answer, call, insert, refused, register


def test_it_says_what_the_list_says(conn: Conn) -> None:
    for wanted in STATES:
        job_in(conn, wanted, queue="mail")
    job_in(conn, "dead", queue="other")
    register(conn, "mail", "other")
    answer(conn, "pause", queue="mail")
    (found,) = call(conn, "get_queue", queue="mail")
    listed = {each["queue"]: each for each in call(conn, "list_queues")}["mail"]
    assert {name: found[name] for name in listed} == listed
    assert (found["dead"], found["workers"]) == (1, 1)


def test_settings_are_those_that_hold(conn: Conn) -> None:
    call(conn, "configure_queue", queue="mail", max_attempts=2, keep_dead="3 days")
    (found,) = call(conn, "get_queue", queue="mail")
    assert (found["max_attempts"], found["keep_dead"]) == (2, timedelta(days=3))
    assert (found["timeout"], found["keep_finished"]) == (timedelta(minutes=10), timedelta(days=7))
    assert (found["backoff_base"], found["backoff_max"]) == (
        timedelta(seconds=1),
        timedelta(hours=1),
    )
    assert (found["payload_limit"], found["unknown_task_after"]) == (1048576, timedelta(hours=1))


def test_settings_of_its_own_are_named(conn: Conn) -> None:
    names = {
        "max_attempts": 2,
        "timeout": "1 minute",
        "backoff_base": "1 s",
        "backoff_max": "2 s",
        "payload_limit": 10,
        "keep_finished": "1 day",
        "keep_dead": "1 day",
        "unknown_task_after": "1 day",
    }
    call(conn, "configure_queue", queue="mail", **names)
    (found,) = call(conn, "get_queue", queue="mail")
    assert found["overridden"] == list(names)
    call(conn, "configure_queue", queue="mail", reset=list(names))
    (found,) = call(conn, "get_queue", queue="mail")
    assert found["overridden"] == []


@pytest.mark.parametrize("unknown", ["mail", "", None])
def test_unknown_queue_is_refused(conn: Conn, unknown: str | None) -> None:
    insert(conn)
    with refused("PQ004") as said:
        call(conn, "get_queue", queue=unknown)
    assert str(unknown or "") in said.message
    assert "list_queues" in said.hint
