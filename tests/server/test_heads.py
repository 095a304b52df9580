"""Heads, and what stands around bodies, hold to the same bounds whichever parser reads them."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from serving import Hall, opened, token

import processes

SITE = Path(__file__).parent / "mutant_site"
POST = b"POST /api/v1/jobs HTTP/1.1\r\nContent-Type: application/json\r\n"
HOST = b"Host: localhost\r\n"
CHUNKED = b'Transfer-Encoding: chunked\r\n\r\nc\r\n{"task":"a"}\r\n0\r\n'
BODY = b'Content-Length: 12\r\n\r\n{"task":"a"}'
LONG = b"X: " + b"x" * 20_000
CUT = b"cut"


@pytest.fixture(scope="module", params=["httptools", "h11"])
def guarded(
    request: pytest.FixtureRequest,
    server: str,
    template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Hall]:
    """A server that reads HTTP with this parser and asks for tokens."""
    without = {} if request.param == "httptools" else {"PGQ_TEST_WITHOUT": "httptools"}
    folder = tmp_path_factory.mktemp("hall")
    with opened(
        server, template, folder, "--require-token", PYTHONPATH=str(SITE), **without
    ) as hall:
        yield hall


def test_a_head_without_end_is_refused(guarded: Hall) -> None:
    assert _status(guarded, POST + HOST + LONG, ends=True) == b"400"


def test_what_follows_a_body_without_end_is_refused(guarded: Hall) -> None:
    head = POST + HOST + _authorization(guarded) + CHUNKED
    assert _status(guarded, head + LONG * 20, ends=True) in (b"400", CUT)


def test_what_follows_a_body_identifies_nobody(guarded: Hall) -> None:
    request = POST + HOST + CHUNKED + _authorization(guarded) + b"\r\n"
    assert _status(guarded, request) == b"401"


def test_a_request_that_offers_another_protocol_keeps_its_body(guarded: Hall) -> None:
    offer = b"Connection: Upgrade\r\nUpgrade: h2c\r\n"
    request = POST + HOST + _authorization(guarded) + offer + BODY
    assert _status(guarded, request) == b"201"


@pytest.mark.parametrize("hosts", [b"", HOST + b"Host: example.org\r\n"], ids=["none", "two"])
def test_a_request_names_one_host(guarded: Hall, hosts: bytes) -> None:
    assert _status(guarded, POST + hosts + _authorization(guarded) + BODY) == b"400"


def test_a_method_that_nobody_knows_leads_nowhere(guarded: Hall) -> None:
    assert _status(guarded, POST.replace(b"POST", b"FOO") + HOST + BODY) in (b"400", b"401")


def _authorization(hall: Hall) -> bytes:
    return f"Authorization: Bearer {token(hall.conn, 'enqueue')}\r\n".encode()


def _status(hall: Hall, request: bytes, *, ends: bool = False) -> bytes:
    """Of the answer to what is sent, `CUT`, or nothing when the server just hangs up."""
    parts = urlsplit(hall.service.url)
    address = (parts.hostname, parts.port)
    with socket.create_connection(address, timeout=processes.PATIENCE) as connection:
        try:
            connection.sendall(request)
            if ends:
                connection.shutdown(socket.SHUT_WR)
            return connection.recv(65_536)[9:12]
        except TimeoutError:
            raise
        except OSError:  # it hung up before it had read all
            return CUT
