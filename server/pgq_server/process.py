"""One server process: listens, answers, and ends in good order."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib.util import find_spec
from types import FrameType
from typing import Literal

import uvicorn
from starlette.applications import Starlette

from pgq import database, otlp, schema
from pgq.errors import ConfigError
from pgq_server import app
from pgq_server.settings import Settings

UNREAD = 30_000
"""Milliseconds after which a client that takes none of what is sent to it is dropped."""


class Server(uvicorn.Server):
    """Uvicorn's, which tells open streams to end before it waits for them.

    The first signal stops it in good order, the second one at once; both end with status 0.
    """

    def __init__(self, application: Starlette, config: uvicorn.Config, settings: Settings) -> None:
        super().__init__(config)
        self._application = application
        self._settings = settings

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Take a signal."""
        self.force_exit = self.should_exit
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen."""
        await super().startup(sockets)
        if self.started and sockets:
            self._application.state.services.life.begin(url(self._settings, sockets[0]))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop in good order."""
        end = time.monotonic() + self._settings.grace
        services = self._application.state.services
        services.life.end()
        services.stopping.set()
        await super().shutdown(sockets)
        left = min(otlp.FLUSH, end - time.monotonic())
        if left > 0 and not self.force_exit:
            await asyncio.to_thread(otlp.flush, left)


def check(settings: Settings) -> None:
    """Refuse to start on a schema that is too old, or where others could reach it unasked.

    Raises `SchemaMismatch`, `ConfigError` or `Unavailable`.
    """
    _check_tls(settings)
    with closing(database.connect(settings.dsn, application_name="pgq server")) as session:
        schema.check(session)
        if settings.is_loopback:
            return
        (any_token,) = database.fetch_one(session, "select pgq.has_tokens()")
    if not any_token:
        raise ConfigError(
            f"tokens are needed to listen on {settings.host}, and there is none; make one with "
            "`pgq token create NAME --scope admin`, or listen on 127.0.0.1"
        )


def warnings(settings: Settings) -> list[str]:
    """What whoever starts it should know."""
    if settings.is_loopback or settings.is_tls:
        return []
    return [
        f"on {settings.host} tokens and payloads go over the network as plain text, and browsers "
        "cannot sign in to the dashboard, whose cookie needs HTTPS; give --tls-certificate and "
        "--tls-key, or let nobody reach this but a proxy that speaks TLS"
    ]


def _check_tls(settings: Settings) -> None:
    if settings.tls_certificate is None or settings.tls_key is None:
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(
            settings.tls_certificate, settings.tls_key, password=lambda: b""
        )
    except (ssl.SSLError, OSError) as error:
        reason = getattr(error, "reason", None) or error.strerror
        raise ConfigError(
            f"{settings.tls_certificate} and {settings.tls_key} make no TLS "
            f"({str(reason).lower().replace('_', ' ')}); expected a certificate, those it rests on "
            "after it, and its own key without a password, in PEM format"
        ) from None


def listen(settings: Settings) -> socket.socket:
    """The socket that the server listens on. Raises `ConfigError`."""
    try:
        found = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        family, _, _, _, address = found[0]
        listening = socket.create_server(address[:2], family=family, backlog=2048)
    except OSError as error:
        why = str(error.strerror).partition(" (while")[0]
        raise ConfigError(
            f"cannot listen on {settings.host}, port {settings.port}: {why}"
        ) from None
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # connections inherit it
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD)
    return listening


def url(settings: Settings, listening: socket.socket) -> str:
    """Where people find the server."""
    host, port = listening.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    return f"{'https' if settings.is_tls else 'http'}://{shown}:{port}{settings.prefix}/"


def _protocol() -> type[asyncio.Protocol] | Literal["h11"]:
    if find_spec("httptools") is None:
        return "h11"
    from pgq_server.protocol import Protocol

    return Protocol


def server(settings: Settings) -> Server:
    """A server that has not begun; `run` it with the socket of `listen`."""
    otlp.configure("pgq-server", f"{socket.gethostname()}:{os.getpid()}")
    application = app.create(settings)
    config = uvicorn.Config(
        application,
        http=_protocol(),
        lifespan="on",
        log_config=None,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=True,
        ws="none",
        timeout_keep_alive=75,
        timeout_graceful_shutdown=round(settings.grace),
        ssl_certfile=settings.tls_certificate,
        ssl_keyfile=settings.tls_key,
    )
    gc.collect()
    gc.freeze()  # what is loaded now stays: the collector need not look at it for each few requests
    return Server(application, config, settings)


@contextmanager
def beside(settings: Settings, listening: socket.socket) -> Iterator[None]:
    """A server in a thread of this process, while the context is open."""
    running = server(settings)
    thread = threading.Thread(target=running.run, args=([listening],), name="pgq server")
    thread.start()
    try:
        yield
    finally:
        running.should_exit = True
        thread.join()
