"""Threads in which sync handlers run."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Threads(Generic[Item, Result]):
    """Calls `call` with each item in one of at most so many threads, and `ended` in the event loop.

    Threads take turns at the interpreter, and each turn costs more than a short handler. So a
    thread goes on to the next item by itself, and wakes another only if there is more and none
    is awake that has not taken an item yet; the loop hears of many ends at a time. The thread
    that slept last is woken first.
    """

    def __init__(
        self,
        call: Callable[[Item], Result],
        ended: Callable[[Item, Result], None],
        failed: Callable[[BaseException], None],
        *,
        most: int,
    ) -> None:
        self._call = call
        self._ended = ended
        self._failed = failed
        self._most = most
        self._loop = asyncio.get_running_loop()
        self._items: deque[Item] = deque()
        self._results: deque[tuple[Item, Result]] = deque()
        self._told = False
        self._guard = threading.Lock()
        self._asleep: list[threading.Lock] = []
        self._seeking = False
        """Whether a thread is awake that has not taken an item yet."""
        self._count = 0

    def put(self, item: Item) -> None:
        """Have a thread take this item; there must be no more of them than threads."""
        self._items.append(item)
        if not self._seeking:
            self._wake()

    def _wake(self) -> None:
        with self._guard:
            if self._seeking or not self._items:
                return
            if self._asleep:
                self._seeking = True
                self._asleep.pop().release()
            elif self._count < self._most:
                self._seeking = True
                self._count += 1
                name = f"pgq-handler-{self._count}"
                threading.Thread(target=self._work, name=name, daemon=True).start()

    def _work(self) -> None:
        bed = threading.Lock()
        bed.acquire()
        seeking = True
        while True:
            try:
                item = self._items.popleft()
            except IndexError:
                with self._guard:
                    # In this order: who puts an item looks afterwards whether somebody seeks.
                    if seeking:
                        self._seeking = False
                    if self._items:
                        self._seeking = seeking = True
                        continue
                    self._asleep.append(bed)
                bed.acquire()
                seeking = True
                continue
            if seeking:
                self._seeking = seeking = False
            if self._items and not self._seeking:
                self._wake()
            try:
                result = self._call(item)
            except BaseException as error:
                self._loop.call_soon_threadsafe(self._failed, error)
                return
            self._results.append((item, result))
            if not self._told:
                self._told = True
                self._loop.call_soon_threadsafe(self._collect)

    def _collect(self) -> None:
        self._told = False
        for _ in range(len(self._results)):
            self._ended(*self._results.popleft())
