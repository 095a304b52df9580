from __future__ import annotations

import hashlib
from typing import Any

from sql.support import Conn, Row, answer, call, connect, value

SECRET = hashlib.sha256(b"secret").digest()
LAST_USED = "select last_used_at from pgq.token"


def make(conn: Conn, **arguments: Any) -> int:
    defaults: Row = {"name": "ci", "hash": SECRET, "scopes": ["view"]}
    return int(answer(conn, "create_token", **defaults | arguments))


def test_token_says_who_it_is_and_what_it_may(conn: Conn) -> None:
    made = make(conn, scopes=["work", "view"], queues=["mail"], expires_in="1 hour")
    (found,) = call(conn, "authenticate", hash=SECRET)
    assert found.pop("expires_at") is not None
    assert found == {"id": made, "name": "ci", "scopes": ["work", "view"], "queues": ["mail"]}


def test_unknown_secret_is_nobody(conn: Conn) -> None:
    make(conn)
    for wrong in (hashlib.sha256(b"other").digest(), b"", SECRET[:31], None):
        assert call(conn, "authenticate", hash=wrong) == []


def test_token_that_has_expired_is_nobody(conn: Conn) -> None:
    make(conn, expires_in="1 hour")
    conn.execute("update pgq.token set expires_at = expires_at - interval '1 hour'")
    assert call(conn, "authenticate", hash=SECRET) == []
    assert value(conn, LAST_USED) is None


def test_token_that_is_revoked_is_nobody(conn: Conn) -> None:
    made = make(conn)
    assert call(conn, "authenticate", hash=SECRET)
    assert answer(conn, "revoke_token", id=made)
    assert call(conn, "authenticate", hash=SECRET) == []


def test_use_is_noted_once_a_minute(conn: Conn) -> None:
    make(conn)
    call(conn, "authenticate", hash=SECRET)
    first = value(conn, LAST_USED)
    call(conn, "authenticate", hash=SECRET)
    assert value(conn, LAST_USED) == first
    conn.execute("update pgq.token set last_used_at = last_used_at - interval '61 seconds'")
    call(conn, "authenticate", hash=SECRET)
    assert value(conn, LAST_USED) > first


def test_use_waits_for_nobody(conn: Conn, dsn: str) -> None:
    make(conn)
    with connect(dsn, autocommit=False) as holder:
        holder.execute("select from pgq.token for update")
        conn.execute("set lock_timeout = '1ms'")
        assert len(call(conn, "authenticate", hash=SECRET)) == 1
        assert value(conn, LAST_USED) is None
