"""A row: a fault under a load, and what must be true of it."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from faults.stage import Stage


class NotPlayable(Exception):
    """Something that the row needs is missing on this machine."""


@dataclass(frozen=True)
class Figure:
    """A number that was seen, and what it has to be."""

    name: str
    value: float
    least: float | None = None
    most: float | None = None
    unit: str = ""
    is_time: bool = False
    """Times are judged in the full form only: a busy machine makes them long."""

    def holds(self) -> bool:
        """Whether it is what it has to be."""
        return all(
            limit is None or compare(self.value, limit)
            for limit, compare in ((self.least, operator.ge), (self.most, operator.le))
        )

    @property
    def target(self) -> str:
        """What it has to be, in words; empty if anything."""
        limits = (("at least", self.least), ("at most", self.most))
        return ", ".join(f"{word} {limit:g}" for word, limit in limits if limit is not None)


@dataclass(frozen=True)
class Row:
    """What `python -m faults NAME` does.

    `play` brings the load and the faults; what it need not say itself is checked for every row:
    nothing lost, nothing completed twice, nothing overlapped, nothing repaired.
    """

    name: str
    title: str
    fault: str
    play: Callable[[Stage], None]
    short: float
    """Seconds of load in the short form."""
    full: float
    """Seconds in the full form."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Of the server."""
    disk: int | None = None
    """Megabytes of the disk on which the server lies; the machine's own unless it is to be full."""
    mutants: Mapping[str, str] = field(default_factory=dict)
    """Names in `faults.mutants`, each with the figure in which the row falls short with it."""
    is_timed: bool = True
    """Whether the database's clock is right, so that its times can be compared with others."""
    has_ledger: bool = True
    """False: the row itself checks what became of its jobs."""
    brief: float | None = None
    """Seconds of load in which the mutants show; the short form's, unless fewer are enough."""


@dataclass
class Outcome:
    """What a row came to."""

    row: Row
    seed: int
    seconds: float
    is_full: bool
    mutant: str | None = None
    figures: list[Figure] = field(default_factory=list)
    evidence: list[str] = field(default_factory=list)

    def short_of(self) -> list[Figure]:
        """The figures that decide and do not hold."""
        return [f for f in self.figures if not f.holds() and (self.is_full or not f.is_time)]
