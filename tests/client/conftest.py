"""An app on the test's database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import psycopg
import pytest

import pooler
from pgq import App

Rows = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture
async def app(dsn: str) -> AsyncIterator[App]:
    async with App(pooler.through(dsn)) as app:
        yield app


@pytest.fixture
def rows(conn: psycopg.Connection[Any]) -> Rows:
    """Runs a query in another session than the app's."""

    def run(query: str, *values: Any) -> list[tuple[Any, ...]]:
        return conn.execute(query.encode(), values).fetchall()

    return run
