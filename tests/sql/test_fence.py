"""Every write about a running job names its token, and is refused with a stale one."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from sql.support import (
    Conn,
    Row,
    call,
    claim_one,
    hold,
    hold_all,
    insert,
    lose,
    refused,
    register,
    rows,
    running,
    state,
)

RAISES: dict[str, Callable[[Conn, Row], Any]] = {
    "complete": lambda conn, late: call(conn, "complete", **hold(late)),
    "fail": lambda conn, late: call(conn, "fail", **hold(late)),
    "snooze": lambda conn, late: call(conn, "snooze", **hold(late), delay="1 hour"),
    "extend": lambda conn, late: call(conn, "extend", **hold(late), lease="1 hour"),
    "log": lambda conn, late: call(conn, "log", **hold(late), message="late"),
    "cancel": lambda conn, late: call(conn, "cancel", **hold(late)),
}

REPORTS: dict[str, Callable[[Conn, Row], Any]] = {
    "complete_many": lambda conn, late: [
        each["id"]
        for each in call(conn, "complete_many", **hold_all(late))
        if each["outcome"] == "lost"
    ],
    "fail_many": lambda conn, late: [
        each["id"] for each in call(conn, "fail_many", **hold_all(late)) if each["state"] == "lost"
    ],
    "decline": lambda conn, late: [
        each["id"] for each in call(conn, "decline", **hold_all(late)) if each["state"] == "lost"
    ],
    "release": lambda conn, late: [
        each["id"] for each in call(conn, "release", **hold_all(late), begun=[True])
    ],
    "start": lambda conn, late: [
        each["id"] for each in call(conn, "start", **hold_all(late), ran_seconds=[9.0])
    ],
    "log_many": lambda conn, late: [
        each["id"] for each in call(conn, "log_many", **hold_all(late), messages=["late"])
    ],
}


def lost_and_claimed_again(conn: Conn) -> Row:
    worker = register(conn)
    late = running(conn, worker=worker, unique_key="k")
    lose(conn, worker)
    claim_one(conn, executor=2, lease="1 minute")
    return late


def lost_and_completed_by_another(conn: Conn) -> Row:
    late = lost_and_claimed_again(conn)
    holder = rows(conn, "select job_id as id, token from pgq.lease")[0]
    call(conn, "complete", **hold(holder), result='"theirs"')
    return late


def given_back(conn: Conn) -> Row:
    late = running(conn, unique_key="k")
    call(conn, "release", **hold_all(late))
    return late


def died(conn: Conn) -> Row:
    late = lost_and_claimed_again(conn)
    holder = rows(conn, "select job_id as id, token from pgq.lease")[0]
    call(conn, "fail", **hold(holder), permanent=True)
    return late


def cancelled(conn: Conn) -> Row:
    late = given_back(conn)
    call(conn, "cancel", id=late["id"])
    return late


def never_held(conn: Conn) -> Row:
    return running(conn, unique_key="k") | {"token": uuid.uuid4()}


def no_token(conn: Conn) -> Row:
    return running(conn, unique_key="k") | {"token": None}


STALE = [
    lost_and_claimed_again,
    lost_and_completed_by_another,
    given_back,
    died,
    cancelled,
    never_held,
]


def everything(conn: Conn) -> dict[str, list[Row]]:
    """All that is known about jobs."""
    tables = (
        "job",
        "unique_key",
        "ready",
        "delayed",
        "lease",
        "finished",
        "dead",
        "attempt",
        "log",
        "cancel_request",
        "tally",
    )
    known = {table: sorted(rows(conn, f"select * from pgq.{table}"), key=str) for table in tables}
    # That a write was refused is counted; nothing else comes of it.
    known["tally"] = [each for each in known["tally"] if each["metric"] != "stale"]
    return known


@pytest.mark.parametrize("verb", RAISES)
@pytest.mark.parametrize("stale", STALE, ids=lambda each: each.__name__)
def test_stale_token_is_refused(conn: Conn, verb: str, stale: Callable[[Conn], Row]) -> None:
    late = stale(conn)
    before = everything(conn)
    with refused("PQ001") as said:
        RAISES[verb](conn, late)
    assert str(late["id"]) in said.message
    assert said.hint
    assert everything(conn) == before


@pytest.mark.parametrize("verb", REPORTS)
@pytest.mark.parametrize("stale", [*STALE, no_token], ids=lambda each: each.__name__)
def test_stale_token_is_reported_lost(conn: Conn, verb: str, stale: Callable[[Conn], Row]) -> None:
    late = stale(conn)
    before = everything(conn)
    assert REPORTS[verb](conn, late) == [late["id"]]
    assert everything(conn) == before


def test_heartbeat_tells_that_a_stale_token_is_lost(conn: Conn) -> None:
    late = lost_and_claimed_again(conn)
    (heard,) = call(conn, "heartbeat", worker=register(conn), **hold_all(late))
    assert heard["lost"] == [late["id"]]
    assert state(conn, late["id"]) == "running"


@pytest.mark.parametrize("verb", ["complete", "complete_many", "fail", "snooze", "decline"])
def test_token_ends_only_the_job_it_leased(conn: Conn, verb: str) -> None:
    insert(conn, 2)
    one, two = claim_one(conn), claim_one(conn)
    crossed = {"id": two["id"], "token": one["token"]}
    if verb in RAISES:
        with refused("PQ001"):
            RAISES[verb](conn, crossed)
    else:
        assert REPORTS[verb](conn, crossed) == [two["id"]]
    assert [state(conn, each["id"]) for each in (one, two)] == ["running", "running"]


@pytest.mark.parametrize(
    ("verb", "arguments"),
    [
        ("complete_many", {}),
        ("fail_many", {}),
        ("decline", {}),
        ("release", {}),
        ("start", {"ran_seconds": [1.0, 1.0]}),
        ("log_many", {"messages": ["a", "b"]}),
    ],
)
def test_token_of_one_job_of_a_batch_is_no_other_jobs(
    conn: Conn, verb: str, arguments: dict[str, Any]
) -> None:
    one, two = running(conn), running(conn)
    before = everything(conn)
    found = call(
        conn,
        verb,
        ids=[one["id"], two["id"]],
        tokens=[two["token"], one["token"]],
        **arguments,
    )
    assert {each["id"] for each in found} == {one["id"], two["id"]}
    assert everything(conn) == before
