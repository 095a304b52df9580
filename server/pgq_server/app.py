"""The Starlette application, made of the table of routes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.routing import Route as Path
from starlette.types import ASGIApp, Receive, Scope, Send

from pgq import traces
from pgq_server import services
from pgq_server.dispatch import Endpoint
from pgq_server.route import Route
from pgq_server.routes import TABLE
from pgq_server.settings import Settings


def create(settings: Settings, table: tuple[Route, ...] = TABLE) -> Starlette:
    """The application. `app.state.services` is there once it has started."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with services.opened(settings) as opened:
            app.state.services = opened
            yield

    app = Application(settings.prefix, lifespan=lifespan)
    app.state.table = table
    by_path: dict[str, dict[str, Route]] = {}
    for route in table:
        rows = by_path.setdefault(route.path, {})
        assert route.method not in rows, f"{route.method} {route.path} is declared twice"
        rows[route.method] = route
    endpoint = _endpoint()
    app.router.routes = [Path(path, endpoint(rows)) for path, rows in by_path.items()]
    app.router.redirect_slashes = False
    app.router.default = Endpoint({})
    return app


def _endpoint() -> type[Endpoint]:
    if not traces.has_spans():
        return Endpoint
    from pgq_server.tracing import TracedEndpoint

    return TracedEndpoint


class Application(Starlette):
    """Starlette's, without its handlers of errors: `Endpoint` lets none through."""

    def __init__(self, prefix: str, **options: Any) -> None:
        super().__init__(**options)
        self._prefix = prefix

    def build_middleware_stack(self) -> ASGIApp:
        """What a request goes through."""
        return Locator(self.router, prefix=self._prefix)


class Locator:
    """Paths are matched as they were sent, percent-encoded, without the prefix.

    So `%2F` in the name of a queue is no separator. A proxy may take the prefix away or leave it.
    """

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        self._app = app
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] == "http":
            raw = scope.get("raw_path") or quote(scope["path"]).encode()
            path = raw.decode("ascii", "replace")
            if self._prefix and (path == self._prefix or path.startswith(f"{self._prefix}/")):
                path = path.removeprefix(self._prefix) or "/"
            scope = {**scope, "path": path, "root_path": ""}
        await self._app(scope, receive, send)
