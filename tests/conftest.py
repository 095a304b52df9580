"""A database per test, with the schema in it, on one server per test process."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from typing import Any

import psycopg
import pytest

import pooler
import servers
from pgq import schema
from pgq.postgres import Postgres

_numbers = count(1)


def _name(kind: str) -> str:
    return f"pgq_{kind}_{os.getpid()}_{next(_numbers)}"


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """Connection string of a role that may create databases and roles."""
    with servers.any_server() as dsn, pooler.poolers():
        yield dsn


@pytest.fixture
def private_server() -> Iterator[Postgres]:
    """A server for one test, which it may stop, kill and start again; without the schema."""
    with servers.private() as postgres:
        yield postgres


@pytest.fixture(scope="session")
def template(server: str) -> Iterator[str]:
    """Name of a database with the schema, to make others from."""
    name = _name("template")
    with servers.database(server, name) as dsn:
        schema.migrate(dsn)
        yield name


@pytest.fixture
def dsn(server: str, template: str) -> Iterator[str]:
    """A database with the schema, for one test."""
    with servers.database(server, _name("test"), template=template) as dsn:
        yield dsn


@pytest.fixture
def empty_dsn(server: str) -> Iterator[str]:
    """A database without the schema, for one test."""
    with servers.database(server, _name("empty")) as dsn:
        yield dsn


@pytest.fixture
def connect(dsn: str) -> Iterator[Callable[..., psycopg.Connection[Any]]]:
    """Opens further sessions in autocommit with the test's database; they end with the test."""
    with ExitStack() as stack:

        def open_session(**options: Any) -> psycopg.Connection[Any]:
            values = {"autocommit": True, **options}
            return stack.enter_context(psycopg.connect(dsn, **values))

        yield open_session


@pytest.fixture
def conn(connect: Callable[..., psycopg.Connection[Any]]) -> psycopg.Connection[Any]:
    """A session in autocommit with the test's database."""
    return connect()
