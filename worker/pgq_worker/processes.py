"""A child as its supervisor sees it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
from typing import Any, Self

from pgq_worker.channel import Channel
from pgq_worker.measures import Measures
from pgq_worker.plan import ChildPlan
from pgq_worker.slots import Held, Slots, allocate

STUCK = 10.0
"""Seconds after which an event loop that does not turn is stuck."""
STALLED = 30.0
"""Seconds, and a poll interval, in which a claim is answered, unless there is no room for jobs."""


class ChildProcess:
    """A running child: a fresh interpreter, a channel to it, and the memory of what it holds."""

    def __init__(
        self,
        plan: ChildPlan,
        process: asyncio.subprocess.Process,
        channel: Channel,
        slots: Slots,
        lifeline: int,
    ) -> None:
        self.executor = plan.executor
        self.suspects = plan.suspects
        self.channel = channel
        self.slots = slots
        self.started_at = time.monotonic()
        self.ready = False
        self.refusal: str | None = None
        self.overdue: list[Held] = []
        """Jobs for whose timeout it was killed."""
        self.measures = Measures()
        """What it last told of its counts."""
        self._process = process
        self._lifeline = lifeline

    @classmethod
    async def start(cls, plan: ChildPlan) -> Self:
        """Start a child and hand it its plan."""
        ours, theirs = socket.socketpair()
        lifeline_end, lifeline = os.pipe()
        memory = allocate(plan.slots)
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "pgq_worker.child",
                *map(str, (theirs.fileno(), lifeline_end, memory)),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=(theirs.fileno(), lifeline_end, memory),
                env=os.environ | ({"DATABASE_URL": plan.dsn} if plan.dsn else {}),
            )
            slots = Slots(memory, size=plan.slots)
        except BaseException:
            ours.close()
            os.close(lifeline)
            raise
        finally:
            theirs.close()
            os.close(lifeline_end)
            os.close(memory)
        child = cls(plan, process, await Channel.open(ours), slots, lifeline)
        child.send("plan", plan=plan.dump())
        return child

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def idle(self) -> bool:
        """Whether no handler runs in it."""
        return self.ready and not self.slots.busy

    def progresses(self, now: float, poll: float) -> bool:
        """Whether its loops turn, or a handler holds them up that has not used up its time."""
        ticked_at, turned_at = self.slots.ticked_at, self.slots.turned_at
        if now - max(ticked_at, self.started_at) < STUCK:
            return not turned_at or now - turned_at < STALLED + poll
        return any(held.begun and held.overdue(now) < STUCK for held in self.slots.held())

    def send(self, kind: str, **fields: Any) -> None:
        self.channel.send(kind, **fields)

    def wake(self) -> None:
        """There may be jobs; said once until it is heard."""
        if not self.channel.unread:
            self.send("wake")

    def kill(self) -> None:
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGKILL)

    async def wait(self) -> int:
        """Its exit status, when it has ended."""
        return await self._process.wait()

    def close(self) -> None:
        self.channel.close()
        self.slots.close()
        os.close(self._lifeline)
