"""Spans, by OpenTelemetry's conventions for messaging. Imported only where OpenTelemetry is.

A span never holds a payload or a result. What it says of an error is what the log says.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version

from opentelemetry import trace as otel
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from pgq.sending import Sent
from pgq.traces import Trace

_tracer = otel.get_tracer("pgq", version("pgq-service"))
_propagator = TraceContextTextMapPropagator()

Attributes = Mapping[str, str | int]


def is_recorded() -> bool:
    """Whether anybody has set up where spans go."""
    return not isinstance(otel.get_tracer_provider(), otel.ProxyTracerProvider)


def current() -> Trace | None:
    """The place of the current span."""
    return place(otel.get_current_span())


def place(span: Span) -> Trace | None:
    """The place of a span."""
    context = span.get_span_context()
    if not context.is_valid:
        return None
    parent = f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
    return Trace(parent, context.trace_state.to_header() or None)


@contextmanager
def entered(
    name: str,
    kind: SpanKind,
    attributes: Attributes,
    *,
    parent: Trace | None = None,
    links: Sequence[Trace] = (),
) -> Iterator[Span]:
    """A span that is current within; its parent is the current one unless one is given."""
    with _tracer.start_as_current_span(
        name,
        context=_context(parent) if parent else None,
        kind=kind,
        attributes=attributes,
        links=[Link(_span_context(each)) for each in links],
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        yield span


def failed(span: Span, kind: str, message: str | None = None) -> None:
    """The operation has failed; `kind` is the class of the error."""
    span.set_attribute("error.type", kind)
    span.set_status(Status(StatusCode.ERROR, message))


def of_message(operation: str, kind: str, queue: str | None) -> tuple[str, dict[str, str | int]]:
    """Name and attributes of a span that does this with messages."""
    attributes: dict[str, str | int] = {
        "messaging.system": "pgq",
        "messaging.operation.name": operation,
        "messaging.operation.type": kind,
    }
    if queue is None:
        return operation, attributes
    return f"{operation} {queue}", {**attributes, "messaging.destination.name": queue}


class _Sent(Sent):
    """With a span."""

    __slots__ = ("_span",)

    def __init__(self, span: Span) -> None:
        super().__init__(place(span))
        self._span = span

    def made(self, job_id: int) -> None:
        self._span.set_attribute("messaging.message.id", str(job_id))


@contextmanager
def sending(
    task: str | None,
    queue: str | None,
    own: Sequence[Trace],
    *,
    count: int | None,
    incoming: Trace | None,
) -> Iterator[Sent]:
    """The span of making jobs, of which some have a trace of their own.

    The message of an error is left out: it may tell arguments.
    """
    name, attributes = of_message("send", "send", queue)
    if task is not None:
        attributes["messaging.pgq.task"] = task
    if count is not None:
        attributes["messaging.batch.message_count"] = count
    # Of a job with a trace of its own, this span is not where that trace begins.
    kind = SpanKind.CLIENT if len(own) >= (count or 1) else SpanKind.PRODUCER
    parent = incoming if current() is None else None
    with entered(name, kind, attributes, parent=parent, links=own) as span:
        try:
            yield _Sent(span)
        except BaseException as error:
            failed(span, type(error).__qualname__)
            raise


def _context(parent: Trace) -> Context:
    return _propagator.extract(parent.headers())


def _span_context(trace: Trace) -> SpanContext:
    return otel.get_current_span(_context(trace)).get_span_context()
