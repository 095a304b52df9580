"""Throughput over time, from the samples that upkeep takes once a minute."""

from __future__ import annotations

import itertools
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

Span = Literal["1h", "6h", "24h", "48h"]
SPANS: Mapping[Span, timedelta] = {
    "1h": timedelta(hours=1),
    "6h": timedelta(hours=6),
    "24h": timedelta(hours=24),
    "48h": timedelta(hours=48),
}
POINTS = 120
"""About as many as are drawn, whatever the span."""

SERIES = (
    ("succeeded", "succeeded", "solid"),
    ("retrying", "failed", "dashed"),
    ("dead", "died", "dotted"),
)
"""State whose colour a line has, its name, its stroke."""

Key = tuple[str, str]


@dataclass(frozen=True)
class Samples:
    """Counters that only grow, by the time at which they were read."""

    at: Sequence[datetime]
    totals: Mapping[str, Sequence[int]]
    """By the name of a line."""

    def grown(self, name: str, since: datetime, until: datetime) -> int | None:
        """How much a counter grew; None where no sample reaches back that far."""
        before = self._value(name, since)
        after = self._value(name, until)
        return None if before is None or after is None else max(after - before, 0)

    def latest(self, name: str) -> int:
        """How it stood at last, which is how much it grew since the installation."""
        return self.totals[name][-1] if self.at else 0

    def since_beginning(self, name: str) -> int:
        """How much it grew over all that is known."""
        values = self.totals[name]
        return values[-1] - values[0] if values else 0

    def _value(self, name: str, at: datetime) -> int | None:
        if not self.at or at < self.at[0] - timedelta(seconds=90):
            return None
        found = self.totals[name][0]
        for moment, value in zip(self.at, self.totals[name], strict=True):
            if moment > at:
                break
            found = value
        return found


def read(rows: Iterable[Mapping[str, Any]]) -> Samples:
    """Samples; a row that comes twice counts once."""
    by_time: dict[datetime, dict[Key, int]] = defaultdict(dict)
    for row in rows:
        by_time[row["at"]][row["metric"], row["label"]] = row["n"]
    at = sorted(by_time)
    totals: dict[str, list[int]] = {name: [0] * len(at) for _, name, _ in SERIES}
    known: dict[Key, int] = {}
    for place, moment in enumerate(at):
        known |= by_time[moment]
        for (metric, label), n in known.items():
            if line := line_of(metric, label):
                totals[line][place] += n
    return Samples(at, totals)


def line_of(metric: str, label: str) -> str | None:
    """The line that a counter belongs to."""
    if metric == "finished":
        return "succeeded" if label == "succeeded" else None
    return {"failed": "failed", "dead": "died"}.get(metric)


def chart(samples: Samples, span: timedelta, now: datetime) -> str:
    """Columns for the chart, as JSON: times, then each line's jobs a minute."""
    step = max(span / POINTS, timedelta(minutes=1))
    start = now - span
    edges: list[int] = []
    chosen: datetime | None = None
    for n, at in enumerate(samples.at):
        is_last = n == len(samples.at) - 1
        if at >= start and (chosen is None or at - chosen >= step or is_last):
            edges.append(n)
            chosen = at
    times = [samples.at[n] for n in edges]
    columns: list[list[float | None]] = [[at.timestamp() for at in times[1:]]]
    for _, name, _ in SERIES:
        totals = samples.totals[name]
        columns.append(
            [
                _rate(totals[after] - totals[before], samples.at[after] - samples.at[before])
                for before, after in itertools.pairwise(edges)
            ]
        )
    document: dict[str, Any] = {
        "from": start.timestamp(),
        "to": now.timestamp(),
        "columns": columns,
    }
    if samples.at:
        latest = [samples.totals[name][-1] for _, name, _ in SERIES]
        document["last"] = {"at": samples.at[-1].timestamp(), "totals": latest}
    return json.dumps(document, separators=(",", ":"))


def _rate(grown: int, during: timedelta) -> float | None:
    minutes = during.total_seconds() / 60
    return round(max(grown, 0) / minutes, 2) if minutes > 0 else None
