"""The container's health check, asked of servers of our own."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

import pgq

SCRIPT = Path(pgq.__file__).parent.parent / "deploy" / "container" / "healthcheck.py"


class Answers(BaseHTTPRequestHandler):
    """Answers each path with a status and a text, to one name only."""

    known: dict[str, tuple[int, bytes]] = {}  # noqa: RUF012
    name = "localhost"

    def do_GET(self) -> None:
        status, text = self.known.get(self.path, (404, b""))
        self.send_response(status if self.headers["Host"] in (self.name, None) else 403)
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def port() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Answers) as served:
        thread = threading.Thread(target=served.serve_forever)
        thread.start()
        yield str(served.server_port)
        served.shutdown()
        thread.join()


def check(**environment: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(SCRIPT)],
        env={"PGQ_SERVER_PORT": "1", "PGQ_WORKER_METRICS_PORT": "1", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr.strip()


def test_server_whose_database_answers_is_well(port: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Answers, "known", {"/readyz": (200, b"{}")})
    assert check(PGQ_SERVER_PORT=port) == (0, "")


def test_server_is_asked_by_a_name_that_it_answers(
    port: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Answers, "known", {"/readyz": (200, b"{}")})
    monkeypatch.setattr(Answers, "name", "queue.example")
    assert check(PGQ_SERVER_PORT=port, PGQ_SERVER_ALLOWED_HOSTS="queue.example,b") == (0, "")


def test_server_without_a_database_is_not_well(port: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Answers, "known", {"/readyz": (503, b"{}")})
    assert check(PGQ_SERVER_PORT=port) == (1, "the server is not well")


@pytest.mark.parametrize(
    ("registered", "expected"), [(1, (0, "")), (0, (1, "the worker is not well"))]
)
def test_worker_is_well_while_the_database_knows_it(
    port: str,
    monkeypatch: pytest.MonkeyPatch,
    registered: int,
    expected: tuple[int, str],
) -> None:
    text = f"# TYPE a gauge\npgq_worker_process_registered {registered}.0\nb 1.0\n"
    monkeypatch.setattr(Answers, "known", {"/metrics": (200, text.encode())})
    monkeypatch.setattr(Answers, "name", f"127.0.0.1:{port}")
    assert check(PGQ_WORKER_METRICS_PORT=port) == expected


def test_nothing_that_answers_is_not_well() -> None:
    assert check() == (1, "neither a server nor a worker answers")
