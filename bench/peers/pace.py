"""How fast the machine is, from one moment to the next."""

from __future__ import annotations

import time
from bisect import bisect_left, bisect_right
from operator import itemgetter
from statistics import fmean

ROUNDS = 10_000
INTERVAL = 0.05
"""Seconds between looks, of which each takes about 1 ms of a processor."""


class Pace:
    """Does the same piece of work over and over, and keeps how long it took of a processor: its
    clock rate, and who else uses its caches, show in that."""

    def __init__(self) -> None:
        self._looks: list[tuple[float, float]] = []

    def look(self) -> None:
        """Do it once more, unless that was only just done."""
        now = time.monotonic()
        if self._looks and now < self._looks[-1][0] + INTERVAL:
            return
        begun = time.thread_time()
        total = 0
        for n in range(ROUNDS):
            total += n * n % 7
        self._looks.append((now, time.thread_time() - begun))

    def cost(self, since: float, until: float) -> float:
        """Seconds that it took between two times of the monotonic clock, on average."""
        begin = max(0, bisect_right(self._looks, since, key=itemgetter(0)) - 1)
        end = bisect_left(self._looks, until, key=itemgetter(0))
        return fmean(cost for _, cost in self._looks[begin:end])
