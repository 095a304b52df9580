"""What asks the database again and again, on behalf of all who wait."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod

import anyio

from pgq_server import problems

LONGEST = 5.0
"""Seconds between attempts while the database is away."""
SPREAD = (0.8, 1.2)
"""Of each pause, so that many servers do not ask at the same moment."""


class Poller(ABC):
    """Looks about once in `interval` seconds while somebody waits; else it rests."""

    interval: float

    def __init__(self) -> None:
        self._called = anyio.Event()

    async def run(self) -> None:
        """Look, for good. While the database is away those who wait go on waiting."""
        pause = self.interval
        while True:
            if not self.is_wanted:
                self._called = anyio.Event()
                await self._called.wait()
            try:
                await self.look()
            except Exception as error:
                problems.refusal_of(error)
                pause = min(pause * 2, LONGEST)
            else:
                pause = self.interval
            await anyio.sleep(pause * random.uniform(*SPREAD))  # noqa: S311

    def call(self) -> None:
        """Somebody waits."""
        self._called.set()

    @property
    @abstractmethod
    def is_wanted(self) -> bool:
        """Whether anybody waits."""

    @abstractmethod
    async def look(self) -> None:
        """Ask once, and tell those who wait."""
