"""Waiting for jobs to end and for queues to fill: one query for all long polls of the process."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import anyio
from starlette.requests import Request

from pgq_server.gateway import Gateway
from pgq_server.polling import Poller
from pgq_server.problems import RETRY_AFTER, Refusal
from pgq_server.streams import gone


class Watcher(Poller):
    """Tells long polls when to look.

    Those who wait for jobs of a queue are woken one at a time, the first one first: who then got
    some wakes the next with `pass_on`, and who got none leaves it to the next look.
    """

    interval = 0.2

    def __init__(self, db: Gateway, *, most: int) -> None:
        super().__init__()
        self._db = db
        self._most = most
        self._ends: dict[int, set[anyio.Event]] = {}
        self._waiting = 0
        self._claims: dict[anyio.Event, Collection[str]] = {}
        self._is_over = False

    @property
    def is_wanted(self) -> bool:
        """Whether anybody waits."""
        return bool(self._ends or self._claims)

    async def look(self) -> None:
        """Ask about everything that anybody waits for."""
        queues = {queue for waited in self._claims.values() for queue in waited}
        rows = await self._db.rows(
            "watch", ("id", "queue"), p_ids=list(self._ends), p_queues=sorted(queues)
        )
        for row in rows:
            if row["queue"] is None:
                _set(self._ends.get(row["id"], ()))
            else:
                self.pass_on([row["queue"]])

    async def ended(self, request: Request, job_id: int, seconds: float) -> None:
        """Wait until a job has ended or is gone; not longer than the client does."""
        event = anyio.Event()
        waiting = self._ends.setdefault(job_id, set())
        waiting.add(event)
        try:
            await self._wait(request, event, seconds)
        finally:
            waiting.discard(event)
            if not waiting and self._ends.get(job_id) is waiting:
                del self._ends[job_id]

    async def filled(self, request: Request, queues: Sequence[str], seconds: float) -> None:
        """Wait until it is worth while to claim from one of the queues; as `ended`."""
        event = anyio.Event()
        self._claims[event] = queues
        try:
            await self._wait(request, event, seconds)
        finally:
            self._claims.pop(event, None)

    def pass_on(self, queues: Iterable[str]) -> None:
        """There may be more in these queues: wake the first who waits for one of them."""
        wanted = set(queues)
        for event, waited in self._claims.items():
            if not wanted.isdisjoint(waited):
                del self._claims[event]
                event.set()
                return

    def end(self) -> None:
        """Nobody waits any more, now and later."""
        self._is_over = True
        _set(self._claims)
        for events in self._ends.values():
            _set(events)

    async def _wait(self, request: Request, event: anyio.Event, seconds: float) -> None:
        if self._is_over:
            return
        if self._waiting >= self._most:
            raise Refusal(
                "too-many-requests",
                f"{self._most:,} requests wait already.",
                hint="Ask again soon, or without waiting.",
                headers={"Retry-After": RETRY_AFTER},
            )
        self.call()
        self._waiting += 1
        try:
            with anyio.move_on_after(seconds):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(gone, request.receive, tasks.cancel_scope)
                    await event.wait()
                    tasks.cancel_scope.cancel()
        finally:
            self._waiting -= 1


def _set(events: Iterable[anyio.Event]) -> None:
    for event in events:
        event.set()
