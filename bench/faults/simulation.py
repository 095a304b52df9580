"""Plays simulations, each from a seed of its own."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from hypothesis import HealthCheck, Phase, Verbosity, seed, settings
from hypothesis.stateful import get_state_machine_test

from faults.field import Field
from faults.machine import Machine

STEPS = 50
"""Of a simulation, after those that it begins with, and before those with which all jobs end."""
SHORTENING = 5.0
"""Seconds in which a shorter sequence is looked for that breaks the model too."""


@dataclass
class Played:
    """What simulations came to."""

    seeds: int = 0
    steps: int = 0
    calls: Counter[str] = field(default_factory=Counter)
    broken: list[int] = field(default_factory=list)
    """Seeds with which the database did what the model does not allow."""
    evidence: list[str] = field(default_factory=list)

    def add(self, other: Played) -> None:
        """Add up what was played in several places."""
        self.seeds += other.seeds
        self.steps += other.steps
        self.calls += other.calls
        self.broken += other.broken
        self.evidence = self.evidence or other.evidence


def play(dsn: str, *, first: int, every: int = 1, least: int = 1, seconds: float = 0.0) -> Played:
    """Simulations with the seeds `first`, `first + every`, …: at least so many, and for so long; up
    to the first that breaks the model."""
    played = Played()
    with Field(dsn) as found:
        Machine.field, Machine.steps, Machine.until = found, 0, math.inf
        for number in _seeds(first, every, least, seconds):
            played.seeds += 1
            if evidence := _break(number, Phase.generate):
                played.broken.append(number)
                Machine.until = time.monotonic() + SHORTENING
                shorter = _break(number, Phase.generate, Phase.shrink) or evidence
                played.evidence = [f"seed {number}:", *min(evidence, shorter, key=len)]
                break
        played.steps, played.calls = Machine.steps, found.calls
    return played


def _seeds(first: int, every: int, least: int, seconds: float) -> Iterator[int]:
    deadline = time.monotonic() + seconds
    number = first
    while time.monotonic() < deadline or number < first + every * least:
        yield number
        number += every


def _break(number: int, *phases: Phase) -> list[str]:
    """The statements that broke the model, if any did."""
    Machine.evidence = []
    # The first example of each run is the simplest of all, which does nothing.
    test = get_state_machine_test(
        Machine,
        settings=settings(
            max_examples=2,
            stateful_step_count=STEPS,
            phases=phases,
            database=None,
            deadline=None,
            print_blob=False,
            verbosity=Verbosity.quiet,
            suppress_health_check=list(HealthCheck),
        ),
    )
    try:
        seed(number)(test)()
    except Exception:
        if not Machine.evidence:
            raise
    return Machine.evidence
