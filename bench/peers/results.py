"""What was measured, what was void, and where both are kept."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg

from pgq.errors import PgqError

Key = tuple[str, str]


class Void(Exception):
    """Something was not run exactly once, so the figure is worth nothing."""


@dataclass
class Results:
    """Values by system and work; several become their median, one that is void spoils all."""

    values: dict[Key, list[float]] = field(default_factory=lambda: defaultdict(list))
    units: dict[Key, str] = field(default_factory=dict)
    void: dict[Key, str] = field(default_factory=dict)

    def add(self, system: str, work: str, value: float, unit: str) -> None:
        """One measurement."""
        self.values[system, work].append(value)
        self.units[system, work] = unit

    def copy(self, source: str, system: str, works: Iterable[str]) -> bool:
        """Give a system the figures of another that does these works alike; False without them."""
        if not any((source, work) in self.values for work in works):
            return False
        for work in works:
            key = (source, work)
            if key in self.values:
                self.values[system, work] = list(self.values[key])
                self.units[system, work] = self.units[key]
            if key in self.void:
                self.void[system, work] = self.void[key]
        return True

    @contextmanager
    def guard(self, system: str, *works: str) -> Iterator[None]:
        """What fails or is void within is void, with the reason; the run goes on."""
        try:
            yield
        except (Void, PgqError, psycopg.Error, OSError, ValueError) as error:
            for work in works:
                self.void[system, work] = str(error).splitlines()[0]

    def value(self, system: str, work: str) -> float | None:
        """The median; None when there is none or it is void."""
        key = (system, work)
        return None if key in self.void or key not in self.values else self._median(key)

    def rows(self) -> list[dict[str, Any]]:
        """For programs, without what is void."""
        return [
            {"system": s, "work": w, "value": self._median((s, w)), "unit": self.units[s, w]}
            for s, w in self.values
            if (s, w) not in self.void
        ]

    def void_rows(self) -> list[dict[str, str]]:
        """What is void, and why."""
        return [{"system": s, "work": w, "reason": why} for (s, w), why in self.void.items()]

    def _median(self, key: Key) -> float:
        return statistics.median(self.values[key])
