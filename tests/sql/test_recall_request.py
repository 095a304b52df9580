"""recall_request and remember_request: what an idempotency key promises."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from sql.support import (
    Conn,
    Row,
    answer,
    call,
    connect,
    in_background,
    refused,
    row,
    value,
)

SAME, OTHER = b"a hash", b"another"


def recall(conn: Conn, fingerprint: bytes = SAME, **names: Any) -> list[Row]:
    return call(
        conn,
        "recall_request",
        **{"owner": "token 1", "key": "k", "fingerprint": fingerprint} | names,
    )


def remember(conn: Conn, body: str | None = '{"id": 1}', **names: Any) -> None:
    call(
        conn,
        "remember_request",
        **{
            "owner": "token 1",
            "key": "k",
            "fingerprint": SAME,
            "status": 201,
            "headers": '{"Location":"/api/v1/jobs/1"}',
            "body": body,
        }
        | names,
    )


def test_repeat_gets_the_first_answer(conn: Conn) -> None:
    assert recall(conn) == []
    remember(conn)
    expected = {
        "status": 201,
        "headers": {"Location": "/api/v1/jobs/1"},
        "body": '{"id": 1}',
    }
    assert recall(conn) == [expected]
    assert recall(conn) == [expected]


def test_answer_without_a_body_is_remembered(conn: Conn) -> None:
    remember(conn, body=None, status=204, headers=None)
    assert recall(conn) == [{"status": 204, "headers": {}, "body": None}]


def test_key_of_another_request_is_refused(conn: Conn) -> None:
    remember(conn)
    with refused("PQ010") as said:
        recall(conn, OTHER)
    assert "'k'" in said.message
    assert said.hint


def test_keys_are_their_owners(conn: Conn) -> None:
    remember(conn)
    assert recall(conn, OTHER, owner="token 2") == []
    assert recall(conn, OTHER, key="K") == []


def test_request_in_progress_is_refused_at_once(conn: Conn, dsn: str) -> None:
    with connect(dsn, autocommit=False) as first:
        assert recall(first) == []
        for fingerprint in (SAME, OTHER):
            with refused("PQ007") as said:
                recall(conn, fingerprint)
            assert "in progress" in said.message
        assert recall(conn, key="another") == []
        remember(first)
        with refused("PQ007"):
            recall(conn)
        first.commit()
    assert len(recall(conn)) == 1


def test_request_that_failed_leaves_its_key_free(conn: Conn, dsn: str) -> None:
    with connect(dsn, autocommit=False) as first:
        recall(first)
        remember(first)
        first.rollback()
    assert recall(conn, OTHER) == []


def test_two_requests_at_once_are_answered_once(conn: Conn, dsn: str) -> None:
    """The second sees what the first remembered as soon as it gets the key."""
    with connect(dsn, autocommit=False) as first, connect(dsn) as second:
        recall(first)

        def insist() -> list[Row]:
            while True:
                try:
                    return recall(second)
                except psycopg.Error as error:
                    if error.sqlstate != "PQ007":
                        raise

        with in_background(insist) as repeated:
            remember(first)
            first.commit()
            (found,) = repeated.result()
    assert found["status"] == 201


def test_answer_is_remembered_for_24_hours(conn: Conn) -> None:
    remember(conn)
    conn.execute("update pgq.request set at = at - interval '23 hours 59 minutes'")
    assert len(recall(conn)) == 1
    conn.execute("update pgq.request set at = at - interval '1 minute'")
    assert recall(conn, OTHER) == []
    remember(conn, body="new", fingerprint=OTHER)
    assert recall(conn, OTHER)[0]["body"] == "new"
    assert value(conn, "select count(*) from pgq.request") == 1


def test_who_did_not_recall_changes_no_answer(conn: Conn) -> None:
    remember(conn)
    with refused("PQ007"):
        remember(conn, body="another")
    assert recall(conn)[0]["body"] == '{"id": 1}'


def test_old_answers_are_pruned(conn: Conn) -> None:
    for key in ("old", "older", "young"):
        remember(conn, key=key)
    conn.execute("update pgq.request set at = at - interval '25 hours' where key like 'old%'")
    assert [answer(conn, "prune", limit=1) for _ in range(3)] == [0, 0, 0]
    assert row(conn, "select key from pgq.request") == {"key": "young"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"owner": ""},
        {"owner": None},
        {"owner": "x" * 201},
        {"key": ""},
        {"key": None},
        {"key": "x" * 256},
        {"fingerprint": b""},
        {"fingerprint": None},
        {"fingerprint": bytes(65)},
    ],
    ids=str,
)
def test_bad_key_is_refused(conn: Conn, wrong: Row) -> None:
    with refused("PQ005") as said:
        recall(conn, **wrong)
    assert next(iter(wrong)) in said.detail
    with refused("PQ005"):
        remember(conn, **wrong)


@pytest.mark.parametrize("status", [99, 600, None])
def test_bad_status_is_refused(conn: Conn, status: int | None) -> None:
    with refused("PQ005") as said:
        remember(conn, status=status)
    assert str(status or "null") in said.detail
    assert recall(conn) == []
