"""Does harm again and again, at moments and to victims that a seed decides."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self


@dataclass(frozen=True)
class Strike:
    """One deed: when, by the machine's clock, and to whom."""

    at: float
    victim: str


Deed = Callable[[random.Random], str]
"""Does the harm, and says to whom; an empty text when there was nobody."""


class Nemesis:
    """Strikes about every `every` seconds while the context is open."""

    def __init__(self, deed: Deed, *, every: float, chance: random.Random) -> None:
        self._deed, self._every, self._chance = deed, every, chance
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._error: BaseException | None = None
        self.strikes: list[Strike] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()
        if self._error and not error:
            raise self._error

    def _run(self) -> None:
        try:
            while not self._over.wait(self._every * self._chance.uniform(0.8, 1.2)):
                at = time.time()
                if victim := self._deed(self._chance):
                    self.strikes.append(Strike(at, victim))
        except BaseException as error:
            self._error = error
