"""What was measured, and how it stands against its target."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A number, and its ratio to another of the same run."""

    step: str
    name: str
    value: float
    unit: str
    raw: float | None = None
    raw_name: str = ""
    ratio: float | None = None
    least_ratio: float | None = None
    most_ratio: float | None = None
    most: float | None = None

    @property
    def reached(self) -> bool | None:
        """Whether the target is reached; None when there is none."""
        if self.least_ratio is not None and self.ratio is not None:
            return self.ratio >= self.least_ratio
        if self.most_ratio is not None and self.ratio is not None:
            return self.ratio <= self.most_ratio
        if self.most is not None:
            return self.value < self.most
        return None

    def document(self) -> dict[str, Any]:
        """For programs."""
        return {
            "step": self.step,
            "name": self.name,
            "value": self.value,
            "unit": self.unit,
            "raw": self.raw,
            "raw_name": self.raw_name or None,
            "ratio": self.ratio,
            "target": self._target or None,
            "reached": self.reached,
        }

    def row(self) -> dict[str, str]:
        """For people."""
        against = f"{_number(self.raw)} {self.raw_name}" if self.raw is not None else ""
        verdict = {True: "reached", False: "MISSED", None: ""}[self.reached]
        return {
            "step": self.step,
            "figure": self.name,
            "value": f"{_number(self.value)} {self.unit}",
            "against": against,
            "ratio": "" if self.ratio is None else f"{self.ratio:.2f}",
            "target": self._target,
            "verdict": verdict,
        }

    @property
    def _target(self) -> str:
        if self.least_ratio is not None:
            return f"ratio ≥ {self.least_ratio:g}"
        if self.most_ratio is not None:
            return f"ratio ≤ {self.most_ratio:g}"
        return f"< {self.most:g} {self.unit}" if self.most is not None else ""


@dataclass(frozen=True)
class Round:
    """One measurement and, right before or after it, what it is compared with."""

    value: float
    raw: float


def compared(rounds: Sequence[Round], **fields: Any) -> Figure:
    """A figure of the medians; its ratio is the median of the rounds' ratios."""
    return Figure(
        value=statistics.median(r.value for r in rounds),
        raw=statistics.median(r.raw for r in rounds),
        ratio=statistics.median(r.value / r.raw for r in rounds),
        **fields,
    )


def percentile(values: Iterable[float], share: float) -> float:
    """The least of `values` that is not below `share` of them."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(round(len(ordered) * share, 9)) - 1)]


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
