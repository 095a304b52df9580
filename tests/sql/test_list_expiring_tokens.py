from __future__ import annotations

from sql.support import Conn, answer, call


def token(conn: Conn, name: str, *, days_left: float, used_days_ago: float | None = None) -> int:
    """One that was made a year ago."""
    made = answer(conn, "create_token", name=name, hash=name.encode().ljust(32), scopes=["view"])
    conn.execute(
        "update pgq.token set created_at = now() - interval '1 year',"
        " expires_at = now() + make_interval(secs => %s),"
        " last_used_at = now() - make_interval(secs => %s) where id = %s",
        [86400 * days_left, None if used_days_ago is None else 86400 * used_days_ago, made],
    )
    return int(made)


def names(conn: Conn, **arguments: object) -> list[str]:
    return [each["name"] for each in call(conn, "list_expiring_tokens", **arguments)]


def test_token_that_ends_soon_is_listed(conn: Conn) -> None:
    token(conn, "later", days_left=8)
    made = token(conn, "soon", days_left=6)
    (found,) = call(conn, "list_expiring_tokens")
    assert set(found) == {"id", "name", "expires_at", "last_used_at"}
    assert (found["id"], found["name"]) == (made, "soon")


def test_first_to_end_comes_first(conn: Conn) -> None:
    token(conn, "later", days_left=8)
    token(conn, "soon", days_left=6)
    assert names(conn, within="9 days") == ["soon", "later"]


def test_token_that_ended_in_use_is_listed(conn: Conn) -> None:
    token(conn, "used", days_left=-1, used_days_ago=1.5)
    token(conn, "unused", days_left=-1, used_days_ago=2.5)
    token(conn, "never used", days_left=-1)
    assert names(conn) == ["used"]


def test_token_that_ended_long_ago_is_not(conn: Conn) -> None:
    token(conn, "used", days_left=-8, used_days_ago=8)
    assert names(conn) == []


def test_token_that_never_ends_is_not(conn: Conn) -> None:
    answer(conn, "create_token", name="endless", hash=bytes(32), scopes=["view"])
    assert names(conn) == []


def test_token_that_was_revoked_is_not(conn: Conn) -> None:
    answer(conn, "revoke_token", id=token(conn, "revoked", days_left=6))
    assert names(conn) == []


def test_token_that_was_to_live_for_an_hour_is_not(conn: Conn) -> None:
    answer(conn, "create_token", name="hour", hash=bytes(32), scopes=["view"], expires_in="1 hour")
    assert names(conn) == []
