"""Stages for races."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pgq import schema
from pgq.postgres import Postgres
from races.play import Play


@pytest.fixture
def play(dsn: str) -> Iterator[Play]:
    """A stage on a new database with the schema."""
    stage = Play(dsn)
    yield stage
    stage.close()


@pytest.fixture
def restartable(private_server: Postgres) -> Iterator[Play]:
    """A stage whose server may be restarted."""
    schema.migrate(private_server.dsn)
    stage = Play(private_server.dsn, private_server)
    yield stage
    stage.close()
