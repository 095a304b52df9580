"""A queue in order, to make faults in."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import psycopg
import pytest

import servers
from doctor.ailments import Scene
from pgq import doctor
from sql.support import Conn, answer, call, settle

_numbers = count(1)


def make_well(conn: Conn) -> None:
    """A worker is there, and upkeep has been done."""
    call(
        conn,
        "register_worker",
        name="echoes",
        queues=["default"],
        slots=10,
        info='{"tasks": {"echo": null}}',
    )
    conn.execute("call pgq.tick()")
    settle(conn)
    answer(conn, "reap")


@pytest.fixture
def scene(conn: Conn, dsn: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Scene]:
    """A queue in order, in a folder without settings."""
    make_well(conn)
    monkeypatch.chdir(tmp_path)
    doctor.checks()
    with ExitStack() as stack:
        yield Scene(conn, dsn, monkeypatch, stack)


@pytest.fixture(scope="module")
def well(server: str, template: str) -> Iterator[str]:
    """A database in order that the tests of a module share and only look at."""
    name = f"pgq_well_{os.getpid()}_{next(_numbers)}"
    with servers.database(server, name, template=template) as dsn:
        with psycopg.connect(dsn, autocommit=True) as conn:
            make_well(conn)
        yield dsn
