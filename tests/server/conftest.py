"""Server processes on a test's own database, and clients of theirs."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from serving import Hall, Service, opened, serving


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
    with opened(server, template, tmp_path_factory.mktemp("hall")) as found:
        yield found


@pytest.fixture(scope="module")
def guarded(server: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hall]:
    """As `hall`, but everyone needs a token."""
    with opened(server, template, tmp_path_factory.mktemp("hall"), "--require-token") as found:
        yield found


@pytest.fixture
def service(serve: Callable[..., Service]) -> Service:
    """A server on loopback, which asks for no token."""
    return serve()


@pytest.fixture
def api(service: Service) -> httpx.Client:
    """A client of it."""
    return service.client()
