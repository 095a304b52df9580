"""Server processes on a test's own database, and clients of theirs."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import psycopg
import pytest

import servers

sys.path.insert(0, str(Path(__file__).parent))

from serving import Hall, Service, serving, token

_numbers = itertools.count(1)


@pytest.fixture
def serve(dsn: str, tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """Starts servers on the test's database; they end with the test."""
    numbers = itertools.count(1)
    with ExitStack() as stack:

        def start(*options: str, **environment: str) -> Service:
            folder = tmp_path / f"server-{next(numbers)}"
            return stack.enter_context(serving(folder, dsn, *options, **environment))

        yield start


@pytest.fixture(scope="module")
def hall(server: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hall]:
    """For tests that keep to jobs and queues of their own."""
    with _hall(server, template, tmp_path_factory) as opened:
        yield opened


@pytest.fixture(scope="module")
def guarded(server: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hall]:
    """As `hall`, but everyone needs a token."""
    with _hall(server, template, tmp_path_factory, "--require-token") as opened:
        yield opened


@contextmanager
def _hall(
    server: str, template: str, folders: pytest.TempPathFactory, *options: str
) -> Iterator[Hall]:
    name = f"pgq_hall_{os.getpid()}_{next(_numbers)}"
    with (
        servers.database(server, name, template=template) as dsn,
        psycopg.connect(dsn, autocommit=True) as conn,
    ):
        token(conn, "admin")
        with serving(folders.mktemp("hall"), dsn, *options) as service:
            yield Hall(dsn, service, service.client(), conn)


@pytest.fixture
def service(serve: Callable[..., Service]) -> Service:
    """A server on loopback, which asks for no token."""
    return serve()


@pytest.fixture
def api(service: Service) -> httpx.Client:
    """A client of it."""
    return service.client()
