"""`/metrics`: the whole cluster, as Prometheus reads it.

Nothing is kept in the process, so any server answers for all.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from prometheus_client import Metric, exposition
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector, CollectorRegistry
from starlette.responses import Response

from pgq_server.call import Call
from pgq_server.gateway import Row, verb
from pgq_server.route import Route

TEXT = "text/plain"
OPENMETRICS = "application/openmetrics-text"


class Samples(Collector):
    """Rows of `list_metrics` and `metrics`."""

    def __init__(self, families: Sequence[Row], samples: Sequence[Row]) -> None:
        self._families = families
        self._samples = samples

    def collect(self) -> Iterable[Metric]:
        """Each metric with its samples, in the order of the rows."""
        found = {
            row["metric"]: (
                Metric(row["metric"].removesuffix("_total"), row["help"], row["type"]),
                (*row["labels"], "le"),
            )
            for row in self._families
        }
        for row in self._samples:
            metric, labels = found[row["metric"]]
            metric.add_sample(
                row["metric"] + row["suffix"],
                dict(zip(labels, row["labels"], strict=False)),
                row["value"],
            )
        return [metric for metric, _ in found.values()]


async def show(call: Call) -> Response:
    """All metrics, in the newer format for those who take it."""
    families, samples = await call.db.batch(
        verb("list_metrics", ("metric", "type", "labels", "help")),
        verb("metrics", ("metric", "suffix", "labels", "value")),
    )
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Samples(families, samples))
    if OPENMETRICS in call.request.headers.get("accept", ""):
        text = openmetrics.generate_latest(registry)  # type: ignore[no-untyped-call]
        kind = f"{OPENMETRICS}; version=1.0.0; charset=utf-8"
    else:
        text = exposition.generate_latest(registry)
        kind = f"{TEXT}; version=0.0.4; charset=utf-8"
    return Response(text, headers={"Content-Type": kind})


ROUTES = (
    Route(
        "GET",
        "/metrics",
        show,
        summary="Metrics of the whole cluster, for Prometheus",
        description="From the database, so any server answers for all, at a cost that does not "
        "grow with the number of jobs. OpenMetrics 1.0 for those who accept it, else Prometheus' "
        "text. The [reference](metrics.md) lists them.",
        tag="service",
        scopes=("view",),
        reach="service",
        media=TEXT,
    ),
)
