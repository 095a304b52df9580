"""Answers requests within spans, by OpenTelemetry's conventions for HTTP."""

from __future__ import annotations

from opentelemetry.trace import Span, SpanKind
from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send

from pgq import spans
from pgq_server.dispatch import Endpoint
from pgq_server.intake import trace_of
from pgq_server.route import JSON


class TracedEndpoint(Endpoint):
    """Each request of the API is a span; signs of life, pages and streams are not."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        route = self.route(scope["method"])
        if route is None or route.is_public or route.media != JSON:
            await super().__call__(scope, receive, send)
            return
        attributes = {
            "http.request.method": scope["method"],
            "http.route": route.path,
            "url.path": scope["path"],
            "url.scheme": scope["scheme"],
        }
        name = f"{scope['method']} {route.path}"
        parent = trace_of(Request(scope))
        with spans.entered(name, SpanKind.SERVER, attributes, parent=parent) as span:
            await super().__call__(scope, receive, _noting(send, span))


def _noting(send: Send, span: Span) -> Send:
    async def note(message: Message) -> None:
        if message["type"] == "http.response.start":
            status = message["status"]
            span.set_attribute("http.response.status_code", status)
            if status >= 500:
                spans.failed(span, str(status))
        await send(message)

    return note
