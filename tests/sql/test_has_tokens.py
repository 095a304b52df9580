from __future__ import annotations

from sql.support import Conn, answer


def test_only_tokens_that_are_valid_count(conn: Conn) -> None:
    assert answer(conn, "has_tokens") is False
    one = answer(conn, "create_token", name="one", hash=bytes(32), scopes=["view"])
    answer(
        conn, "create_token", name="two", hash=bytes([1] * 32), scopes=["view"], expires_in="1 day"
    )
    assert answer(conn, "has_tokens") is True
    answer(conn, "revoke_token", id=one)
    assert answer(conn, "has_tokens") is True
    conn.execute("update pgq.token set expires_at = expires_at - interval '1 day'")
    assert answer(conn, "has_tokens") is False
