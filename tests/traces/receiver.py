"""A receiver of spans: OTLP over HTTP, read from its protobuf."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Message

import processes


@dataclass(frozen=True)
class Span:
    """A span as it arrived."""

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent: str
    """Empty without one."""
    state: str
    links: tuple[str, ...]
    """Span ids."""
    failed: bool
    message: str
    attributes: dict[str, Any]
    events: tuple[tuple[str, dict[str, Any]], ...]
    resource: dict[str, Any]


@dataclass
class Receiver:
    """What has arrived so far, and how the next requests are answered."""

    port: int = 0
    spans: list[Span] = field(default_factory=list)
    text: bytes = b""
    """All of it, as it came over the wire."""
    requests: int = 0
    hangs: threading.Event = field(default_factory=threading.Event)
    """Set: nothing is answered."""
    closing: threading.Event = field(default_factory=threading.Event)

    @property
    def environment(self) -> dict[str, str]:
        """Has a program send its spans here, soon."""
        return {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self.port}",
            "OTEL_BSP_SCHEDULE_DELAY": "50",
        }

    def named(self, trace: str | None, *names: str, count: int = 1) -> list[Span]:
        """The spans of a trace, or of all, as soon as those of each name are there."""

        def found() -> list[Span]:
            spans = [span for span in self.spans if trace in (None, span.trace_id)]
            return [span for name in names for span in spans if span.name == name]

        processes.wait(lambda: len(found()) >= count * len(names))
        return found()

    def of(self, job: int) -> Span:
        """The span in which a job was run."""

        def found() -> list[Span]:
            return [
                span
                for span in self.spans
                if span.kind == "CONSUMER" and span.attributes["messaging.message.id"] == str(job)
            ]

        processes.wait(found)
        return found()[0]


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver on a free port of loopback, for a while."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.requests += 1
            if receiver.hangs.is_set():
                receiver.closing.wait()
                return
            assert self.path == "/v1/traces"
            receiver.text += content
            receiver.spans += read(content)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        receiver.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield receiver
        finally:
            receiver.closing.set()
            server.shutdown()
            thread.join()


def read(content: bytes) -> list[Span]:
    """The spans of a request's body."""
    request = ExportTraceServiceRequest.FromString(content)
    return [
        _span(span, _values(group.resource.attributes))
        for group in request.resource_spans
        for scope in group.scope_spans
        for span in scope.spans
    ]


def _span(span: Message, resource: dict[str, Any]) -> Span:
    return Span(
        name=span.name,
        kind=Message.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        state=span.trace_state,
        links=tuple(link.span_id.hex() for link in span.links),
        failed=span.status.code == span.status.STATUS_CODE_ERROR,
        message=span.status.message,
        attributes=_values(span.attributes),
        events=tuple((event.name, _values(event.attributes)) for event in span.events),
        resource=resource,
    )


def _values(attributes: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}
