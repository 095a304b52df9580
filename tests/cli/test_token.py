"""`pgq token`."""

from __future__ import annotations

import hashlib
from datetime import timedelta

import pytest

from cli.conftest import Run
from sql.support import Conn, call, row, rows, value

TOKENS = "select t.* from pgq.token t order by t.id"


def hashed(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def test_secret_is_printed_alone_and_kept_by_nobody(conn: Conn, shell: Run) -> None:
    made = shell("token", "create", "ci", "-s", "enqueue", "-s", "view", "-q", "mail")
    secret = made.out.removesuffix("\n")
    assert secret.startswith("pgq_")
    assert len(secret) == 47
    assert "token 1 of ci" in made.err
    assert secret not in made.err
    assert secret[4:] not in value(conn, "select t::text from pgq.token t")
    (found,) = call(conn, "authenticate", hash=hashed(secret))
    assert (found["name"], found["scopes"], found["queues"]) == (
        "ci", ["enqueue", "view"], ["mail"]
    )  # fmt: skip


def test_programs_get_an_object(conn: Conn, pgq: Run) -> None:
    made = pgq("token", "create", "ci", "-s", "admin", "--expires-in", "90d", "-o", "json").json
    assert (made["id"], made["name"]) == (1, "ci")
    kept = row(conn, "select hash, queues, expires_at - created_at as left from pgq.token")
    assert kept == {"hash": hashed(made["token"]), "queues": None, "left": timedelta(days=90)}


def test_secrets_differ(pgq: Run) -> None:
    made = {pgq("token", "create", "ci", "-s", "view").out for _ in range(3)}
    assert len(made) == 3


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["create", "ci"], "Missing option '-s' / '--scope'"),
        (["create", "-s", "view"], "Missing argument 'NAME'"),
        (["create", "ci", "-s", "root"], "'root' is not one of"),
        (["create", "", "-s", "view"], "1 to 200 characters"),
        (["create", "ci", "-s", "view", "-q", ""], "1 to 200 characters"),
        (["create", "ci", "-s", "view", "--expires-in", "0"], "more than 0"),
        (["create", "ci", "-s", "view", "--expires-in", "soon"], "is no duration"),
        (["revoke"], "Missing argument 'ID...'"),
        (["revoke", "ci"], "'ci' is not a valid integer"),
    ],
)
def test_a_mistake_is_one_line(conn: Conn, pgq: Run, words: list[str], says: str) -> None:
    assert says in pgq("token", *words, code=2).refusal(2)
    assert rows(conn, TOKENS) == []


def test_lists_tokens_with_how_they_stand(conn: Conn, pgq: Run, shell: Run) -> None:
    secrets = [
        pgq("token", "create", name, "-s", "view", *more).out.strip()
        for name, *more in (
            ("one", "-q", "b", "-q", "a"),
            ("two", "--expires-in", "100h"),
            ("three",),
            ("four",),
        )
    ]
    conn.execute("update pgq.token set expires_at = now() where name = 'three'")
    pgq("token", "revoke", 4)
    listed = shell("token", "list", "-o", "json").json
    assert [each["name"] for each in listed] == ["one", "two", "three", "four"]
    assert listed[0]["queues"] == ["a", "b"]
    table = pgq("token", "list").out
    for line, expected in zip(
        table.splitlines()[1:], ("valid", "ends in 4 d", "expired", "revoked"), strict=True
    ):
        assert line.endswith(expected)
    assert "a, b" in table
    for secret in secrets:
        assert secret not in table
        assert hashed(secret).hex() not in str(listed)


def test_revoked_token_is_nobody(conn: Conn, pgq: Run) -> None:
    secret = pgq("token", "create", "ci", "-s", "view").out.strip()
    assert call(conn, "authenticate", hash=hashed(secret))
    assert pgq("token", "revoke", 1).out == "token 1 revoked\n"
    assert call(conn, "authenticate", hash=hashed(secret)) == []
    assert pgq("token", "revoke", 1, "-o", "json").json == [{"token": 1, "did": "unchanged"}]


def test_unknown_token_is_told_beside_the_others(conn: Conn, pgq: Run) -> None:
    pgq("token", "create", "ci", "-s", "view")
    answer = pgq("token", "revoke", 7, 1, code=3)
    assert answer.out == "token 1 revoked\n"
    assert "no token 7" in answer.err
