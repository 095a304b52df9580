"""What the queue wants to reach, as ratios within one run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from peers.results import Results

BATCHED = "graphile_worker_batched"
RIVALS = ("procrastinate", "pgqueuer", "pg_boss", "graphile_worker", BATCHED)
KEEPERS = ("procrastinate", "pg_boss")
"""Rivals that keep each finished job, payload and all."""


@dataclass(frozen=True)
class Target:
    """`work` over that of the best of `systems`, `other` of ours, a raw limit, or by itself."""

    work: str
    least: float | None = None
    most: float | None = None
    systems: Sequence[str] = ()
    other: str = ""
    raw: str = ""
    lower_is_better: bool = False

    @property
    def words(self) -> str:
        """What is compared."""
        if self.systems:
            name = self.systems[0] if len(self.systems) == 1 else "best rival"
            return f"over {name}"
        return f"over raw {self.raw}" if self.raw else (f"over {self.other}" if self.other else "")

    def ratio(self, results: Results, raw: Mapping[str, float]) -> float | None:
        """None when something that it needs was not measured or is void."""
        ours = results.value("pgq", self.work)
        if ours is None:
            return None
        if self.systems:
            theirs = [v for s in self.systems if (v := results.value(s, self.work)) is not None]
            best = (min if self.lower_is_better else max)(theirs, default=None)
        elif self.raw:
            best = raw.get(self.raw)
        else:
            best = results.value("pgq", self.other) if self.other else 1.0
        return ours / best if best else None


TARGETS = (
    Target("drain_1", 1.5, systems=[BATCHED]),
    Target("drain_1", 3, systems=["pgqueuer"]),
    Target("drain_4", 1.3, systems=[BATCHED]),
    Target("drain_4", 0.6, raw="delete_100"),
    Target("drain_1_sync", 0.4, other="drain_1"),
    Target("enqueue_1", 1.2, systems=RIVALS),
    Target("enqueue_1", 0.5, raw="insert_1"),
    Target("enqueue_16", 2, systems=RIVALS),
    Target("enqueue_batch", 2, systems=RIVALS),
    Target("enqueue_copy", 0.3, raw="copy"),
    Target("latency_p50", most=1, systems=RIVALS, lower_is_better=True),
    Target("latency_p99", most=1, systems=RIVALS, lower_is_better=True),
    *(
        Target(f"{work}_{kind}", 0.95)
        for work in ("pinned", "steady")
        for kind in ("reader", "writer", "enqueuer", "claimer")
    ),
    Target("claim_p99_pinned", most=3),
    Target("backlog", 0.95),
    Target("mixed", 0.7),
    Target("payload_10k", 1.5, systems=RIVALS),
    Target("payload_100k", 1, systems=RIVALS),
    Target("connections_256", 0.8),
    Target("memory", most=60),
    Target("wal_per_job", most=1, systems=KEEPERS, lower_is_better=True),
    Target("db_time_per_job", most=1, systems=KEEPERS, lower_is_better=True),
)


def judge(results: Results, raw: Mapping[str, float]) -> list[list[str]]:
    """A line for each target that this run can judge: work, ratio, target, verdict."""
    lines = []
    for target in TARGETS:
        ratio = target.ratio(results, raw)
        if ratio is None:
            continue
        if target.least is not None:
            is_met, wanted = ratio >= target.least, f"≥ {target.least:g}"
        else:
            assert target.most is not None
            is_met, wanted = ratio <= target.most, f"≤ {target.most:g}"
        what = f"{target.work} {target.words}".strip()
        lines.append([what, f"{ratio:.2f}", wanted, "reached" if is_met else "**missed**"])
    return lines
