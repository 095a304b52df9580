"""`/ui`: what the queue is doing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from starlette.responses import Response

from pgq_server.call import Call
from pgq_server.gateway import Row, verb
from pgq_server.models.base import Request
from pgq_server.ui import series
from pgq_server.ui.page import page_route, show

_QUEUES = (
    "queue", "paused_at", "scheduled", "ready", "running", "retrying", "dead", "succeeded",
    "workers", "oldest_ready_at",
)  # fmt: skip
_WORKERS = ("id", "state", "queues", "slots", "busy")
_GROUPS = ("fingerprint", "reason", "error_class", "message", "n", "last_at")
_SAMPLES = ("at", "metric", "label", "n")
_HOUR = timedelta(hours=1)
_SLACK = timedelta(minutes=2)
_MOST = 20_000
_LISTED = 12
"""Queues shown here; the queues page has all."""


class Query(Request):
    """What part of time the chart shows."""

    span: series.Span = "1h"


@dataclass(frozen=True)
class View:
    """What the page says."""

    all_queues: Sequence[Row]
    workers: Sequence[Row]
    groups: Sequence[Row]
    drawn: series.Samples
    """What the chart shows."""
    samples: series.Samples
    """Two hours back, and how the counters stand now."""
    is_limited: bool
    """Whether only some queues are told of, of which no samples are taken."""
    span: series.Span
    now: datetime

    @property
    def queues(self) -> list[Row]:
        """Those with most to do."""
        return sorted(
            self.all_queues, key=lambda queue: (-queue["ready"], -queue["running"], queue["queue"])
        )[:_LISTED]

    @property
    def unattended(self) -> list[Row]:
        """Queues with work that no live worker takes."""
        return [
            queue
            for queue in self.all_queues
            if queue["ready"] and not queue["workers"] and not queue["paused_at"]
        ]

    def share(self, queue: Row) -> float:
        """A queue's ready jobs beside the deepest one's."""
        deepest = max((each["ready"] for each in self.all_queues), default=0)
        return float(queue["ready"] / deepest) if deepest else 0.0

    def _sum(self, state: str) -> int:
        return sum(int(queue[state]) for queue in self.all_queues)

    @property
    def ready(self) -> int:
        return self._sum("ready")

    @property
    def running(self) -> int:
        return self._sum("running")

    @property
    def retrying(self) -> int:
        return self._sum("retrying")

    @property
    def scheduled(self) -> int:
        return self._sum("scheduled") + self.retrying

    @property
    def dead(self) -> int:
        return self._sum("dead")

    @property
    def oldest(self) -> datetime | None:
        """Since when the longest waiting job is ready."""
        return min(
            (queue["oldest_ready_at"] for queue in self.all_queues if queue["oldest_ready_at"]),
            default=None,
        )

    @property
    def _live(self) -> list[Row]:
        return [worker for worker in self.workers if worker["state"] != "offline"]

    @property
    def live_workers(self) -> int:
        return len(self._live)

    @property
    def slots(self) -> int:
        return sum(int(worker["slots"]) for worker in self._live)

    @property
    def busy(self) -> int:
        return sum(int(worker["busy"]) for worker in self._live)

    @property
    def busy_share(self) -> float:
        return min(self.busy / self.slots, 1.0) if self.slots else 0.0

    @property
    def succeeded(self) -> int:
        """Since the installation."""
        return self._sum("succeeded")

    @property
    def succeeded_rate(self) -> float | None:
        """A minute, over the last five; None where that is not known yet."""
        grown = self.samples.grown("succeeded", self.now - timedelta(minutes=5), self.now)
        return None if grown is None else grown / 5

    @property
    def failed(self) -> int:
        """Attempts, since the installation."""
        return self.samples.latest("failed")

    @property
    def failed_now(self) -> int | None:
        return self.samples.grown("failed", self.now - _HOUR, self.now)

    @property
    def failed_before(self) -> int | None:
        return self.samples.grown("failed", self.now - 2 * _HOUR, self.now - _HOUR)

    @property
    def died_now(self) -> int | None:
        return self.samples.grown("died", self.now - _HOUR, self.now)

    @property
    def series(self) -> Sequence[tuple[str, str, str]]:
        return series.SERIES

    @property
    def chart(self) -> str:
        return series.chart(self.drawn, series.SPANS[self.span], self.now)

    @property
    def chart_words(self) -> str:
        """The chart, for those who do not see it."""
        since = self.now - series.SPANS[self.span]
        told = []
        for _, name, _ in series.SERIES:
            grown = self.drawn.grown(name, since, self.now)
            told.append(f"{self.drawn.since_beginning(name) if grown is None else grown} {name}")
        return f"Attempts over the last {self.span}: {', '.join(told)}"


async def overview(call: Call[None, Query]) -> Response:
    """What the queue is doing."""
    now = datetime.now(UTC)
    span = series.SPANS[call.query.span]
    queues, workers, groups, lately, samples = await call.db.batch(
        verb("list_queues", _QUEUES),
        verb("list_workers", _WORKERS),
        verb("list_dead_groups", _GROUPS, p_limit=6, p_queues=call.identity.only),
        verb(
            "list_samples",
            _SAMPLES,
            p_after=now - 2 * _HOUR - _SLACK,
            p_limit=_MOST,
            p_now=True,
        ),
        verb(
            "list_samples",
            _SAMPLES,
            p_after=now - span - _SLACK,
            p_every=span / series.POINTS,
            p_limit=_MOST,
        ),
    )
    reached = [queue for queue in queues if call.identity.reaches(queue["queue"])]
    is_limited = call.identity.only is not None
    sampled = [row for row in lately if row["at"] != lately[-1]["at"]]  # the last is of now
    view = View(
        all_queues=reached,
        workers=[worker for worker in workers if any(map(call.identity.reaches, worker["queues"]))],
        groups=groups,
        drawn=series.read(() if is_limited else (*samples, *sampled)),
        samples=series.read(() if is_limited else lately),
        is_limited=is_limited,
        span=call.query.span,
        now=now,
    )
    return show(
        call, "overview.html", view, page="/ui", live="pgq:change from:body throttle:2s, every 30s"
    )


ROUTES = (page_route("GET", "/ui", overview, "Overview", query=Query, reach="handler"),)
