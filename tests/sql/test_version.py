from __future__ import annotations

import pytest

from pgq import schema
from sql.support import Conn, answer, value


def test_version_is_that_of_the_last_migration(conn: Conn) -> None:
    assert answer(conn, "version") == schema.VERSION
    conn.execute("insert into pgq.migration (version, name, digest) values (9000, 'later', '')")
    assert answer(conn, "version") == 9000


@pytest.mark.parametrize(
    "role", ["pgq_enqueuer", "pgq_worker", "pgq_viewer", "pgq_operator", "pgq_admin"]
)
def test_every_role_may_ask(conn: Conn, role: str) -> None:
    conn.execute(f"set role {role}")
    assert value(conn, "select pgq.version()") == schema.VERSION
