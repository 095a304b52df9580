from __future__ import annotations

import pytest

from sql.support import Conn, answer, refused, value


def test_revoking_again_changes_nothing(conn: Conn) -> None:
    made = answer(conn, "create_token", name="one", hash=bytes(32), scopes=["view"])
    assert answer(conn, "revoke_token", id=made) is True
    revoked_at = value(conn, "select revoked_at from pgq.token")
    assert answer(conn, "revoke_token", id=made) is False
    assert value(conn, "select revoked_at from pgq.token") == revoked_at


def test_others_stay(conn: Conn) -> None:
    made = answer(conn, "create_token", name="one", hash=bytes(32), scopes=["view"])
    answer(conn, "create_token", name="two", hash=bytes([1] * 32), scopes=["view"])
    answer(conn, "revoke_token", id=made)
    assert value(conn, "select name from pgq.token where revoked_at is null") == "two"


@pytest.mark.parametrize("unknown", [1, None])
def test_unknown_token_is_refused(conn: Conn, unknown: int | None) -> None:
    with refused("PQ009") as said:
        answer(conn, "revoke_token", id=unknown)
    assert "token" in said.message
    assert "list_tokens" in said.hint
