from __future__ import annotations

from sql.support import Conn, answer, call


def test_tokens_are_listed_without_what_they_are_known_by(conn: Conn) -> None:
    first = answer(conn, "create_token", name="one", hash=bytes(32), scopes=["view"])
    answer(conn, "create_token", name="two", hash=bytes([1] * 32), scopes=["work"], queues=["a"])
    answer(conn, "revoke_token", id=first)
    one, two = call(conn, "list_tokens")
    assert set(one) == {
        "id", "name", "scopes", "queues", "created_at", "expires_at", "last_used_at", "revoked_at"
    }  # fmt: skip
    assert (one["id"], one["name"], one["scopes"], one["queues"]) == (first, "one", ["view"], None)
    assert (two["name"], two["scopes"], two["queues"]) == ("two", ["work"], ["a"])
    assert [each["revoked_at"] is None for each in (one, two)] == [False, True]
