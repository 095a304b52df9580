"""Where spans go: set up from OpenTelemetry's own variables, `OTEL_…`, in the environment."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from importlib.metadata import version
from urllib.parse import unquote

from pgq import traces

log = logging.getLogger("pgq.otlp")

FLUSH = 2.0
"""Seconds that the last spans get at the end of a process, at most."""

_MISSING = "OpenTelemetry is not installed; pip install 'pgq-service[otel]'"


def warn() -> None:
    """Say in the log why there will be no spans, when the environment asks for them."""
    if found := _obstacle():
        log.warning("no spans are sent: %s", found)


def _obstacle() -> str | None:
    if not _is_wanted():
        return None
    protocol = _variable("PROTOCOL") or "http/protobuf"
    if protocol != "http/protobuf":
        return (
            f"OTEL_EXPORTER_OTLP_PROTOCOL is {protocol}; only http/protobuf is spoken here, as a "
            "rule on port 4318"
        )
    try:
        import opentelemetry.exporter.otlp.proto.http.trace_exporter
        import opentelemetry.sdk.trace  # noqa: F401
    except ImportError:
        return f"an endpoint for spans is set, but {_MISSING}"
    return None


def configure(service: str, instance: str) -> None:
    """Send this process's spans where the environment says, if it does and nobody has done so yet.

    `service` and `instance` are what they are from, where the environment does not name it.
    """
    if not _is_wanted() or _obstacle():
        return
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    if not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        return
    try:
        ours = {"service.version": version("pgq-service"), "service.instance.id": instance}
        found = Resource.create()
        if str(found.attributes.get("service.name", "")).startswith("unknown_service"):
            found = found.merge(Resource({"service.name": service}))
        # Ended by `flush`, not at exit, where it would wait for half a minute.
        provider = TracerProvider(resource=Resource(ours).merge(found), shutdown_on_exit=False)
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    except Exception as error:
        log.error("no spans are sent: %s", error)
        return
    trace.set_tracer_provider(provider)


def flush(seconds: float = FLUSH) -> None:
    """Send what spans there are, for so many seconds at most."""
    if not traces.has_spans():
        return
    from opentelemetry import trace

    send = getattr(trace.get_tracer_provider(), "force_flush", None)
    if send is not None:
        # It heeds no time limit of its own.
        thread = threading.Thread(target=send, name="pgq flush", daemon=True)
        thread.start()
        thread.join(seconds)


def secrets() -> Iterator[str]:
    """Values of headers for the receiver of spans, such as keys, which no line of the log shows."""
    for name in ("OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"):
        for part in os.environ.get(name, "").split(","):
            name, equals, value = part.partition("=")
            secret = (value if equals else name).strip()
            yield from (secret, unquote(secret))


def _is_wanted() -> bool:
    return bool(
        _variable("ENDPOINT")
        and os.environ.get("OTEL_TRACES_EXPORTER", "").strip() in ("", "otlp")
        and os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() != "true"
    )


def _variable(name: str) -> str:
    """Of the exporter: that for traces, else that for all."""
    found = os.environ.get(f"OTEL_EXPORTER_OTLP_TRACES_{name}", "").strip()
    return found or os.environ.get(f"OTEL_EXPORTER_OTLP_{name}", "").strip()
