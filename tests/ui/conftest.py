"""The dashboard in a real browser, which must find nothing to complain about."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Playwright, sync_playwright

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "server")]

import browsing  # noqa: E402
from browsing import Tab, Tabs  # noqa: E402
from serving import Service, serving  # noqa: E402


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    """Ends with its module: while it lives, no other test of the process can run an event loop."""
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    """Chromium of the machine."""
    program = browsing.program()
    if program is None:
        message = "needs Chromium: install your system's package `chromium`"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    opened = playwright.chromium.launch(executable_path=program, args=list(browsing.OPTIONS))
    yield opened
    opened.close()


@pytest.fixture
def serve(dsn: str, tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """Starts servers on the test's database; they end with the test."""
    with ExitStack() as stack:

        def start(*options: str, **environment: str) -> Service:
            folder = tmp_path / f"server-{len(list(tmp_path.glob('server-*')))}"
            return stack.enter_context(serving(folder, dsn, *options, **environment))

        yield start


@pytest.fixture
def service(serve: Callable[..., Service]) -> Service:
    """A server on loopback, which asks for no token."""
    return serve()


@pytest.fixture
def tabs(browser: Browser) -> Iterator[Tabs]:
    """Opens tabs; at the end none of them may have complained."""
    opened = Tabs(browser)
    yield opened
    opened.close()


@pytest.fixture
def tab(tabs: Tabs, service: Service) -> Tab:
    """A tab of the dashboard, in the light theme, as wide as a desk's."""
    return tabs.open(service.url)
