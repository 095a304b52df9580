from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from sql.support import Conn, answer, call, refused, row, value

SECRET = bytes(range(32))


def test_token_is_known_by_its_hash_alone(conn: Conn) -> None:
    made = answer(
        conn,
        "create_token",
        name="ci",
        hash=SECRET,
        scopes=["view", "enqueue", "view"],
        queues=["mail", "default", "mail"],
        expires_in="1 day",
    )
    kept = row(
        conn,
        "select id, name, hash, scopes, queues, expires_at - created_at as left from pgq.token",
    )
    assert kept == {
        "id": made,
        "name": "ci",
        "hash": SECRET,
        "scopes": ["enqueue", "view"],
        "queues": ["default", "mail"],
        "left": timedelta(days=1),
    }


def test_token_lasts_and_reaches_all_queues_unless_told_otherwise(conn: Conn) -> None:
    answer(conn, "create_token", name="all", hash=SECRET, scopes=["admin"])
    kept = row(conn, "select queues, expires_at, last_used_at, revoked_at from pgq.token")
    assert set(kept.values()) == {None}


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": None},
        {"name": "x" * 201},
        {"hash": b"short"},
        {"hash": None},
        {"scopes": []},
        {"scopes": None},
        {"scopes": ["view", "root"]},
        {"scopes": [None]},
        {"queues": []},
        {"queues": [""]},
        {"queues": [None]},
        {"expires_in": "0"},
        {"expires_in": "-1 hour"},
        {"expires_in": "1000000 years"},
    ],
    ids=str,
)
def test_bad_token_is_refused(conn: Conn, wrong: dict[str, Any]) -> None:
    right = {"name": "ci", "hash": SECRET, "scopes": ["view"]}
    with refused("PQ005") as said:
        call(conn, "create_token", **right | wrong)
    assert next(iter(wrong)).removesuffix("s") in said.detail
    assert value(conn, "select count(*) from pgq.token") == 0


def test_secret_is_used_once(conn: Conn) -> None:
    answer(conn, "create_token", name="one", hash=SECRET, scopes=["view"])
    with refused("PQ005") as said:
        answer(conn, "create_token", name="two", hash=SECRET, scopes=["admin"])
    assert said.hint
    assert value(conn, "select name from pgq.token") == "one"
