"""A worker's own metrics: what only the process knows. Off unless it is told a port.

python -m pgq_worker.metrics docs        # writes docs/worker-metrics.md
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from prometheus_client import Metric, start_http_server
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector, CollectorRegistry

from pgq.errors import ConfigError
from pgq_worker.measures import BOUNDS, Durations, Measures

PREFIX = "pgq_worker_process_"

FAMILIES: dict[str, tuple[str, tuple[str, ...], str]] = {
    "registered": ("gauge", (), "1 while the database knows the worker."),
    "draining": ("gauge", (), "1 while it was asked to claim nothing, or is ending."),
    "slots": ("gauge", (), "Jobs that it can run at once."),
    "busy_slots": ("gauge", (), "Jobs that it runs."),
    "held_jobs": ("gauge", (), "Jobs in hand: running, claimed ahead, or to be stored."),
    "children": ("gauge", (), "Processes that run jobs."),
    "child_deaths_total": ("counter", (), "Children that ended otherwise than in good order."),
    "heartbeat_age_seconds": ("gauge", (), "Since the last heartbeat that was answered was sent."),
    "clock_skew_seconds": (
        "gauge",
        (),
        "By how much the database's clock is ahead of this machine's.",
    ),
    "connections_total": (
        "counter",
        (),
        "Sessions with the database that its children had to open again.",
    ),
    "claim_seconds": (
        "histogram",
        ("result",),
        "How long claims took, by what they brought: jobs, nothing or error.",
    ),
    "task_seconds": (
        "histogram",
        ("task", "result"),
        "How long handlers ran: succeeded, failed or stopped. The first 50 tasks of a process, the "
        "rest are other.",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a worker stands at the moment."""

    registered: bool
    draining: bool
    slots: int
    busy_slots: int
    held_jobs: int
    children: int
    child_deaths: int
    heartbeat_age_seconds: float
    clock_skew_seconds: float
    measures: Measures


class Worker(Collector):
    """Asks for the standing at each scrape."""

    def __init__(self, standing: Callable[[], Standing]) -> None:
        self._standing = standing

    def collect(self) -> Iterator[Metric]:
        """All metrics, in the order of `FAMILIES`."""
        now = self._standing()
        counted = {
            "child_deaths_total": now.child_deaths,
            "connections_total": now.measures.connections,
        }
        spread: dict[str, Mapping[tuple[str, ...], Durations]] = {
            "claim_seconds": {(what,): d for what, d in now.measures.claims.items()},
            "task_seconds": {(task, r): d for (task, r), d in now.measures.tasks.items()},
        }
        for name, (kind, labels, text) in FAMILIES.items():
            full = PREFIX + name
            metric = Metric(full.removesuffix("_total"), text, kind)
            if kind == "histogram":
                for values, durations in spread[name].items():
                    _add(metric, full, dict(zip(labels, values, strict=True)), durations)
            else:
                value = counted.get(name)
                metric.add_sample(full, {}, getattr(now, name) if value is None else value)
            yield metric


def _add(metric: Metric, name: str, labels: dict[str, str], durations: Durations) -> None:
    bounds = [*map(str, BOUNDS), "+Inf"]
    counts = list(accumulate(durations.counts))
    for bound, count in zip(bounds, counts, strict=True):
        metric.add_sample(f"{name}_bucket", {**labels, "le": bound}, count)
    metric.add_sample(f"{name}_count", labels, counts[-1])
    metric.add_sample(f"{name}_sum", labels, durations.seconds)


def serve(standing: Callable[[], Standing], host: str, port: int) -> int:
    """Answer scrapes from a thread until the process ends; the port. Raises `ConfigError`."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Worker(standing))
    ProcessCollector(registry=registry)
    try:
        server, _ = start_http_server(port, addr=host, registry=registry)
    except OSError as error:
        raise ConfigError(
            f"cannot serve metrics on {host}, port {port}: {error.strerror or error}"
        ) from None
    return int(server.server_address[1])


def reference() -> str:
    """The page."""
    lines = [
        "# A worker's own metrics",
        "",
        "Made by `make reference`; do not edit.",
        "",
        "What only the process knows. `pgq worker --metrics-port 9187` answers it on loopback, or",
        "where `--metrics-host` says; nobody is asked there who they are. With port 0 the log",
        "tells which it is. `process_*`, which prometheus-client adds, are those of the",
        "supervisor. All else is in [the cluster's metrics](metrics.md).",
        "",
        "| metric | type | labels | |",
        "|---|---|---|---|",
    ]
    for name, (kind, labels, text) in FAMILIES.items():
        shown = ", ".join(f"`{label}`" for label in labels)
        lines.append(f"| `{PREFIX}{name}` | {kind} | {shown} | {text} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    (Path(sys.argv[1]) / "worker-metrics.md").write_text(reference())
