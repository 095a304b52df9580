"""Claims jobs as the dispatcher has room for them, and waits where there are none."""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Sequence
from typing import Any, cast
from uuid import UUID, uuid4

import psycopg

from pgq.connections import Rows
from pgq.errors import PgqError, Unavailable, WorkerExpired
from pgq_worker import arrays, logs
from pgq_worker.dispatcher import Dispatcher
from pgq_worker.jobs import Row
from pgq_worker.measures import Claimed, Measures
from pgq_worker.sessions import Session
from pgq_worker.slots import Slots

log = logs.get("claims")

REENTER = 10.0
"""Seconds after which a waiting executor says again that it waits; 20 later it is forgotten."""
SATURATED = 0.25
"""Seconds without room after which wake-ups are called off."""
STREAK = 20
"""Claims in a row that found jobs, for at least twice as long, after which they are too."""

CLAIM = (
    "select id, queue, task, payload, attempt, max_attempts, extract(epoch from timeout)::float8, "
    "suspect, headers from pgq.claim(p_worker => ?, p_executor => ?, p_token => ?::uuid, "
    "p_queues => ?::text[], p_limits => ?::integer[], p_suspects => ?, "
    "p_reserved => ?)"
)
AWAIT = "select pgq.await_jobs(p_worker => ?, p_executor => ?, p_queues => ?::text[], p_slots => ?)"


class Claims:
    """The claim loop of one executor. It claims while `worker` is set, and never after `stop`."""

    def __init__(
        self,
        session: Session,
        dispatcher: Dispatcher,
        slots: Slots,
        *,
        executor: int,
        queues: Sequence[str],
        suspects: bool,
        reserved: bool,
        poll: float,
        measures: Measures | None = None,
    ) -> None:
        self._session = session
        self._measures = measures
        self._dispatcher = dispatcher
        self._slots = slots
        self._executor = executor
        self._queues = deque(queues)
        self._turn = 1
        self._hot: set[str] = set()
        self._uncovered = set(queues)
        self._suspects = suspects
        self._reserved = reserved
        self._poll = poll
        self._worker: int | None = None
        self._permitted = asyncio.Event()
        self._woken = asyncio.Event()
        self._stopping = False
        self._entered_at: float | None = None
        self._streak = 0
        self._streak_at = 0.0
        self.claimed_at = time.monotonic()
        """When a job was last claimed."""
        self.expired = asyncio.Event()
        """Set when the database says that the worker has expired."""
        self.ended = asyncio.Event()
        """Set when nothing more will be claimed."""

    def resume(self, worker: int, poll: float) -> None:
        """Claim for this worker."""
        self._worker, self._poll, self._entered_at = worker, poll, None
        self.expired.clear()
        self._permitted.set()
        self.wake()

    def rest(self) -> None:
        """Claim nothing until `resume`, and keep what there is."""
        self._permitted.clear()
        self.wake()
        self._dispatcher.has_room.set()

    def suspend(self) -> None:
        """Claim nothing until `resume`: the worker's leases end."""
        self._worker = None
        self._permitted.clear()
        self.wake()

    def wake(self) -> None:
        """There may be jobs."""
        self._woken.set()

    def stop(self) -> None:
        """End `run` when the call under way has been answered."""
        self._stopping = True
        self._permitted.set()
        self._woken.set()
        self._dispatcher.has_room.set()

    async def run(self) -> None:
        """Claim, until stopped."""
        while not self._stopping:
            if not self._permitted.is_set():
                self._slots.turn(None)
                await self._leave()
                await self._permitted.wait()
                self._slots.turn(time.monotonic())
            try:
                await self._round()
                self._slots.turn(time.monotonic())
            except WorkerExpired:
                self.suspend()
                self.expired.set()
            except (PgqError, psycopg.Error) as error:
                log.error("cannot claim: %s", error)
                await asyncio.sleep(self._poll * random.uniform(0.5, 1.0))  # noqa: S311
        self._slots.turn(None)
        self.ended.set()
        await self._leave()

    async def _round(self) -> None:
        room = self._dispatcher.room()
        if not room:
            await self._wait_for_room()
            return
        self._woken.clear()
        if await self._claim(room) or self._uncovered:
            return
        if self._stopping or not self._permitted.is_set():
            return
        if (
            not self._suspects
            and self._enter_due()
            and await self._enter(self._dispatcher.free or 1)
        ):
            # What came before it was entered rang nobody.
            self._uncovered = set(self._queues)
            while self._uncovered and (room := self._dispatcher.room()):
                if await self._claim(room):
                    return
        try:
            async with asyncio.timeout(self._poll * random.uniform(0.75, 1.0)):  # noqa: S311
                await self._woken.wait()
        except TimeoutError:
            pass
        self._uncovered = set(self._queues)

    # Claiming

    async def _claim(self, room: int) -> bool:
        """Claim once; whether there were jobs."""
        names, limits = self._shares(room)
        if not names:
            self._uncovered.clear()
            return False
        token = uuid4()
        self._slots.claim(token.bytes)
        try:
            rows = await self._insist(token, names, limits)
            if rows:
                self.claimed_at = time.monotonic()
                self._dispatcher.accept(cast("list[Row]", rows), token)
        finally:
            self._slots.claim(None)
        self._uncovered.difference_update(names)
        found = {row[1] for row in rows}
        self._hot = (self._hot - set(names)) | found
        if not rows:
            self._streak = 0
            return False
        self._uncovered = set(self._queues)
        if not self._streak:
            self._streak_at = self.claimed_at
        self._streak += 1
        if self._streak >= STREAK and self.claimed_at - self._streak_at > 2 * SATURATED:
            await self._leave()
        # What was claimed begins before the next call is made ready.
        await asyncio.sleep(0)
        return True

    def _shares(self, room: int) -> tuple[list[str], list[int]]:
        """Room for each queue: all get some in turn, and those that had jobs of late the rest."""
        self._queues.rotate(-self._turn)
        wanted = {queue: self._dispatcher.room_in(queue, room) for queue in self._queues}
        names = [queue for queue in self._queues if wanted[queue]][:room]
        shares = dict.fromkeys(names, 1)
        left = room - len(names)
        for group in ([q for q in names if q in self._hot], names):
            for n, queue in enumerate(group):
                more = min(wanted[queue] - shares[queue], -(-left // (len(group) - n)))
                shares[queue] += more
                left -= more
        self._turn = len(names) if 0 < len(names) < len(self._queues) else 1
        return names, [shares[queue] for queue in names]

    async def _insist(self, token: UUID, names: list[str], limits: list[int]) -> Rows:
        """Claim with one token, over and over while the database is away.

        What an answer that was lost had brought, the next one brings again.
        """
        delay = 0.1
        while (worker := self._worker) is not None and not self._stopping:
            values: tuple[Any, ...] = (
                worker,
                self._executor,
                str(token),
                arrays.texts(names),
                arrays.numbers(limits),
                self._suspects,
                self._reserved,
            )
            began = time.monotonic()
            try:
                rows = await self._session.fetch(CLAIM, values)
            except Unavailable as error:
                self._measure("error", began)
                log.debug("cannot claim: %s", error)
            else:
                self._measure("jobs" if rows else "nothing", began)
                return rows if worker == self._worker else []
            await asyncio.sleep(delay * random.uniform(0.5, 1.0))  # noqa: S311
            delay = min(2 * delay, 5.0)
        return []

    def _measure(self, what: Claimed, began: float) -> None:
        if self._measures is not None:
            self._measures.claimed(what, time.monotonic() - began)

    # Waiting

    async def _wait_for_room(self) -> None:
        self._dispatcher.has_room.clear()
        if self._dispatcher.room() or self._stopping:
            return
        self._slots.turn(None)
        try:
            async with asyncio.timeout(SATURATED if self._entered_at is not None else None):
                await self._dispatcher.has_room.wait()
        except TimeoutError:
            await self._leave()

    def _enter_due(self) -> bool:
        return self._entered_at is None or time.monotonic() - self._entered_at > REENTER

    async def _enter(self, slots: int) -> bool:
        """Ask for wake-ups; whether that was new."""
        again = self._entered_at is not None
        self._streak = 0
        await self._say(slots)
        self._entered_at = time.monotonic()
        return not again

    async def _leave(self) -> None:
        """Call wake-ups off."""
        if self._entered_at is not None:
            self._entered_at = None
            await self._say(0)

    async def _say(self, slots: int) -> None:
        if self._worker is None:
            return
        try:
            await self._session.fetch(
                AWAIT, (self._worker, self._executor, arrays.texts(self._queues), slots)
            )
        except (PgqError, psycopg.Error) as error:
            log.debug("wake-ups: %s; polling goes on", error)
