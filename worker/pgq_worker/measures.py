"""What a child counts for its worker's metrics, and how the worker adds it up.

Each child tells all of its counts now and then; those of children that have ended stay.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from pgq_worker.outcomes import Failed, Outcome, Succeeded

BOUNDS = (0.001, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 2.5, 10.0, 60.0, 600.0)
"""Upper bounds of the buckets, in seconds."""
TASKS = 50
"""Tasks that are told apart; the rest are added up."""
OTHER = "other"

Claimed = Literal["jobs", "nothing", "error"]
Result = Literal["succeeded", "failed", "stopped"]


@dataclass(slots=True)
class Durations:
    """A histogram."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    """By bucket, not cumulative; the last is what is past all bounds."""
    seconds: float = 0.0

    def add(self, seconds: float) -> None:
        """Count one."""
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.seconds += seconds

    def merge(self, other: Durations) -> None:
        """Count all of another."""
        self.counts = [one + two for one, two in zip(self.counts, other.counts, strict=True)]
        self.seconds += other.seconds


@dataclass(slots=True)
class Measures:
    """Counts since the start of a child, or of many."""

    claims: dict[str, Durations] = field(default_factory=dict)
    """By what they brought."""
    tasks: dict[tuple[str, str], Durations] = field(default_factory=dict)
    """By task and result: how long handlers ran."""
    connections: int = 0
    """That were opened again, after the first of each session."""

    def claimed(self, what: Claimed, seconds: float) -> None:
        """A claim was answered."""
        _durations(self.claims, what).add(seconds)

    def ran(self, task: str, outcome: Outcome, seconds: float) -> None:
        """A handler has ended."""
        result: Result = "stopped"
        if isinstance(outcome, Succeeded):
            result = "succeeded"
        elif isinstance(outcome, Failed):
            result = "failed"
        found = self.tasks.get((task, result))
        if found is None:
            found = _durations(self.tasks, (self._name(task), result))
        found.add(seconds)

    def merge(self, other: Measures) -> None:
        """Add what another has counted."""
        for what, durations in other.claims.items():
            _durations(self.claims, what).merge(durations)
        for (task, result), durations in other.tasks.items():
            _durations(self.tasks, (self._name(task), result)).merge(durations)
        self.connections += other.connections

    def dump(self) -> dict[str, Any]:
        """As JSON can carry it."""
        return {
            "claims": [[what, d.counts, d.seconds] for what, d in self.claims.items()],
            "tasks": [[*key, d.counts, d.seconds] for key, d in self.tasks.items()],
            "connections": self.connections,
        }

    @classmethod
    def load(cls, values: dict[str, Any]) -> Self:
        """What `dump` made."""
        return cls(
            claims={what: Durations(counts, seconds) for what, counts, seconds in values["claims"]},
            tasks={
                (task, result): Durations(counts, seconds)
                for task, result, counts, seconds in values["tasks"]
            },
            connections=values["connections"],
        )

    def _name(self, task: str) -> str:
        known = {name for name, _ in self.tasks}
        return task if task in known or len(known - {OTHER}) < TASKS else OTHER


def total(parts: Iterable[Measures]) -> Measures:
    """All of them together."""
    measures = Measures()
    for part in parts:
        measures.merge(part)
    return measures


def _durations(where: dict[Any, Durations], key: object) -> Durations:
    found = where.get(key)
    if found is None:
        found = where[key] = Durations()
    return found
