from __future__ import annotations

from typing import Any

import pytest

from sql.states import job_in
from sql.support import Conn, answer, call, claim_one, hold, insert, refused, row, running, state

VALUES: dict[str, Any] = {
    "max_attempts": 2,
    "timeout": "1 minute",
    "backoff_base": "2 seconds",
    "backoff_max": "3 seconds",
    "payload_limit": 100,
    "keep_finished": "4 hours",
    "keep_dead": "5 hours",
    "unknown_task_after": "6 minutes",
}


def settings(conn: Conn, queue: str = "default") -> dict[str, str]:
    found = row(conn, "select (s.*)::text as all, s.* from pgq._settings(%s) s", [queue])
    return {name: str(found[name]) for name in VALUES}


def test_each_setting_is_set_alone(conn: Conn) -> None:
    plain = settings(conn)
    for name, given in VALUES.items():
        call(conn, "configure_queue", queue=name, **{name: given})
        found = settings(conn, name)
        assert found[name] != plain[name]
        assert {**found, name: plain[name]} == plain


def test_null_leaves_as_is(conn: Conn) -> None:
    call(conn, "configure_queue", queue="default", **VALUES)
    before = settings(conn)
    call(conn, "configure_queue", queue="default", **dict.fromkeys(VALUES))
    assert settings(conn) == before


@pytest.mark.parametrize("name", VALUES)
def test_reset_goes_back_to_the_services_value(conn: Conn, name: str) -> None:
    plain = settings(conn)
    call(conn, "configure_queue", queue="default", **VALUES)
    call(conn, "configure_queue", queue="default", reset=[name])
    found = settings(conn)
    assert found[name] == plain[name]
    assert all(found[other] != plain[other] for other in VALUES if other != name)


def test_value_that_is_given_wins_over_its_reset(conn: Conn) -> None:
    call(conn, "configure_queue", queue="default", max_attempts=2)
    call(conn, "configure_queue", queue="default", max_attempts=3, reset=["max_attempts"])
    assert settings(conn)["max_attempts"] == "3"


def test_other_queues_keep_the_services_values(conn: Conn) -> None:
    plain = settings(conn, "other")
    call(conn, "configure_queue", queue="default", **VALUES)
    assert settings(conn, "other") == plain


def test_paused_queue_stays_paused(conn: Conn) -> None:
    answer(conn, "pause", queue="default")
    call(conn, "configure_queue", queue="default", **VALUES)
    assert answer(conn, "pause", queue="default") is False


def test_queues_max_attempts_holds_for_jobs_without_their_own(conn: Conn) -> None:
    call(conn, "configure_queue", queue="default", max_attempts=1)
    lease = running(conn)
    call(conn, "fail", **hold(lease))
    assert state(conn, lease["id"]) == "dead"
    insert(conn, max_attempts=2)
    lease = claim_one(conn)
    call(conn, "fail", **hold(lease))
    assert state(conn, lease["id"]) == "retrying"


def test_queues_payload_limit_holds(conn: Conn) -> None:
    call(conn, "configure_queue", queue="default", payload_limit=2)
    job_in(conn, "ready", payload="{}")
    with refused("PQ005"):
        insert(conn, payload="{ }")


@pytest.mark.parametrize(
    "bad",
    [
        {"queue": ""},
        {"queue": "x" * 201},
        {"queue": None},
        {"max_attempts": 0},
        {"max_attempts": 32768},
        {"payload_limit": 0},
        {"timeout": "0"},
        {"timeout": "-1 s"},
        {"backoff_base": "-1 s"},
        {"backoff_max": "-1 s"},
        {"keep_finished": "-1 s"},
        {"keep_dead": "-1 s"},
        {"unknown_task_after": "-1 s"},
        {"reset": ["paused_at"]},
        {"reset": [None]},
    ],
)
def test_bad_value_is_refused_by_name(conn: Conn, bad: dict[str, Any]) -> None:
    before = settings(conn)
    with refused("PQ005") as said:
        call(conn, "configure_queue", **{"queue": "default", "keep_dead": "1 s", **bad})
    (name,) = bad
    assert name in said.message
    assert said.detail
    assert settings(conn) == before


@pytest.mark.parametrize("name", ["backoff_base", "backoff_max", "keep_finished", "keep_dead"])
def test_zero_is_a_value(conn: Conn, name: str) -> None:
    call(conn, "configure_queue", queue="default", **{name: "0"})
    assert settings(conn)[name] == "0:00:00"
