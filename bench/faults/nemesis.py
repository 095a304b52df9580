"""Does harm again and again, at moments and to victims that a seed decides."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from faults.background import Over


@dataclass(frozen=True)
class Strike:
    """One deed: when, by the machine's clock, and to whom."""

    at: float
    victim: str


Deed = Callable[[random.Random], str]
"""Does the harm, and says to whom; an empty text when there was nobody."""


class Nemesis:
    """Strikes about every `every` seconds."""

    def __init__(self, deed: Deed, *, every: float, chance: random.Random) -> None:
        self._deed, self._every, self._chance = deed, every, chance
        self.strikes: list[Strike] = []

    def run(self, over: Over) -> None:
        """Strike until it is over."""
        while not over.wait(self._every * self._chance.uniform(0.8, 1.2)):
            at = time.time()
            if victim := self._deed(self._chance):
                self.strikes.append(Strike(at, victim))
