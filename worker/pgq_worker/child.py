"""A child: claims, runs and completes jobs, until its supervisor stops it or is gone.

Started as `python -m pgq_worker.child CHANNEL LIFELINE SLOTS`, three inherited file descriptors.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
import threading
import time
import traceback
from typing import Any, NoReturn
from uuid import UUID

import anyio

from pgq import App, database, otlp, traces
from pgq.errors import PgqError
from pgq_worker import logs
from pgq_worker.channel import Channel
from pgq_worker.claims import Claims
from pgq_worker.dispatcher import PREFETCH, Dispatcher
from pgq_worker.execution import execution
from pgq_worker.lines import Capture, Lines
from pgq_worker.listening import Listener
from pgq_worker.loading import describe, load_app
from pgq_worker.measures import Measures
from pgq_worker.plan import ChildPlan
from pgq_worker.reports import Reports
from pgq_worker.sessions import Session
from pgq_worker.slots import Slots
from pgq_worker.watch import Watch

log = logs.get("child")

UNSTORED = 2000
"""Most jobs that have ended and are not stored yet; then no more are claimed."""
SOLO_IDLE = 300.0
"""Seconds without a suspect after which a solo child ends."""
YIELD = 0.3
"""Seconds that a cancelled handler gets when the worker stops."""
REFUSED = 3
"""Exit status of a child that cannot load its app."""
ORPHANED = 4
"""Exit status of a child whose supervisor is gone."""
TELL = 2.0
"""Seconds between two times that it tells what it has counted."""


def slots_for(concurrency: int) -> int:
    """Slots that a child needs."""
    return concurrency + PREFETCH + UNSTORED


class Child:
    """One executor: its sessions, its loops, and what the supervisor says."""

    def __init__(
        self, plan: ChildPlan, app: App, channel: Channel, slots: Slots, group: asyncio.TaskGroup
    ) -> None:
        self._plan = plan
        self._channel = channel
        self._app = app
        self._sessions = [
            Session(plan.dsn, name=f"pgq {kind} of {plan.title}"[:63])
            for kind in ("claims", "completions", "reports", "lines")
        ]
        measures = Measures() if plan.measures else None
        claims, completions, reports, lines = self._sessions
        self._lines = Lines(lines)
        self._reports = Reports(completions, reports, slots)
        self._dispatcher = Dispatcher(
            execution(app, slots=slots, lines=self._lines, mask=logs.masker(_secrets(plan))),
            self._reports,
            self._lines,
            slots,
            limits=plan.limits,
            concurrency=plan.concurrency,
            alone=plan.suspects,
            group=group,
            measures=measures,
        )
        self._claims = Claims(
            claims,
            self._dispatcher,
            slots,
            executor=plan.executor,
            queues=list(plan.limits),
            suspects=plan.suspects,
            reserved=app.takes_reserved,
            poll=1.0,
            measures=measures,
        )
        self._listener = Listener(
            plan.listen_dsn or plan.dsn, name=f"pgq listener of {plan.title}"[:63], hear=self._hear
        )
        self._watch = Watch(self._dispatcher, slots, reports)
        self._group = group
        self._measures = measures
        logging.getLogger().addHandler(Capture(self._lines))

    async def run(self) -> NoReturn:
        """Do what the supervisor says; never returns."""
        for loop in (
            self._listener.run,
            self._lines.run,
            self._reports.run_completions,
            self._reports.run_others,
            self._watch.run,
            self._watch.report,
            self._tell_expiry,
        ):
            self._group.create_task(loop())
        self._group.create_task(self._claims.run())
        if self._plan.suspects:
            self._group.create_task(self._end_when_idle())
        if self._measures is not None:
            self._group.create_task(self._tell_measures(self._measures))
        self._channel.send("ready", tasks=describe(self._app) if self._plan.describes else {})
        while (message := await self._channel.receive()) is not None:
            self._obey(message)
        os._exit(ORPHANED)

    def _obey(self, message: dict[str, Any]) -> None:
        match message:
            case {"kind": "wake"}:
                self._claims.wake()
            case {"kind": "go", "worker": int(worker), "poll": float(poll)}:
                self._listener.follow(f"pgq_{worker}_{self._plan.executor}")
                self._claims.resume(worker, poll)
            case {"kind": "rest"}:
                self._claims.rest()
            case {"kind": "drop"}:
                self._claims.suspend()
                self._dispatcher.give_back()
                self._dispatcher.stop_running("release")
            case {"kind": "cancel", "job": int(job), "token": str(token)}:
                self._dispatcher.stop(job, UUID(token), "cancel")
            case {"kind": "lost", "job": int(job), "token": str(token)}:
                self._dispatcher.stop(job, UUID(token), "lost")
            case {"kind": "stop", "grace": float(grace)}:
                self._group.create_task(self._stop(grace))
            case _:
                log.error("the supervisor said something unknown: %s", message)

    def _hear(self, message: str) -> None:
        """What the database says."""
        match message.split(" "):
            case ["c", job, token]:
                self._dispatcher.stop(int(job), UUID(token), "cancel")
            case _:
                self._claims.wake()

    async def _stop(self, grace: float) -> None:
        """Claim no more, let handlers end, stop those that do not, store all, and exit."""
        # As long as the supervisor waits, but for a moment.
        end = time.monotonic() + grace + YIELD + 0.3
        self._claims.stop()
        with anyio.move_on_after(1):
            await self._claims.ended.wait()
        self._dispatcher.give_back()
        with anyio.move_on_after(grace):
            await self._dispatcher.is_idle.wait()
        self._dispatcher.stop_running("release")
        with anyio.move_on_after(YIELD):
            await self._dispatcher.is_idle.wait()
        with anyio.move_on_after(2):
            await self._reports.stored()
        if traces.has_spans():
            left = max(end - time.monotonic(), 0.2)
            await asyncio.to_thread(otlp.flush, min(otlp.FLUSH, left))
        await self._exit(0)

    async def _end_when_idle(self) -> None:
        while True:
            await asyncio.sleep(SOLO_IDLE / 10)
            if (
                self._dispatcher.is_idle.is_set()
                and time.monotonic() - self._claims.claimed_at > SOLO_IDLE
            ):
                await self._stop(0)

    async def _tell_expiry(self) -> None:
        while True:
            await self._claims.expired.wait()
            self._channel.send("expired")
            await asyncio.sleep(1)

    async def _tell_measures(self, measures: Measures) -> None:
        while True:
            await asyncio.sleep(TELL)
            self._send_measures(measures)

    def _send_measures(self, measures: Measures) -> None:
        measures.connections = sum(max(session.opened - 1, 0) for session in self._sessions)
        self._channel.send("measures", values=measures.dump())

    async def _exit(self, status: int) -> NoReturn:
        if self._measures is not None:
            self._send_measures(self._measures)
        for session in self._sessions:
            session.sever()
        self._listener.close()
        await self._channel.flush()
        sys.stderr.flush()
        os._exit(status)


async def _main(channel_fd: int, slots_fd: int) -> NoReturn:
    channel = await Channel.open(socket.socket(fileno=channel_fd))
    first = await channel.receive()
    if first is None:
        os._exit(ORPHANED)
    plan = ChildPlan.load(first["plan"])
    logs.configure(plan.log_level, plan.log_format, secrets=_secrets(plan))
    try:
        app = load_app(plan.app)
    except Exception as error:
        if isinstance(error, PgqError):
            reason = str(error)
        else:
            reason = f"app {plan.app!r} cannot be imported: {type(error).__name__}: {error}"
            log.error("%s", "".join(traceback.format_exception(error)))
        channel.send("refused", reason=reason)
        await channel.flush()
        os._exit(REFUSED)
    # After the app, which may have set OpenTelemetry up as it likes.
    otlp.configure("pgq-worker", f"{plan.title}/{plan.executor}")
    async with asyncio.TaskGroup() as group:
        await Child(plan, app, channel, Slots(slots_fd, size=plan.slots), group).run()
    raise AssertionError("a child never ends but by exiting")


def _secrets(plan: ChildPlan) -> list[str]:
    return [*database.passwords(plan.dsn, plan.listen_dsn), *otlp.secrets()]


def _follow(lifeline: int) -> None:
    """End with the supervisor, even while a handler holds up the event loop."""
    os.read(lifeline, 1)
    os._exit(ORPHANED)


def main() -> NoReturn:
    """Entry point of the process."""
    channel_fd, lifeline, slots_fd = descriptors = [int(argument) for argument in sys.argv[1:4]]
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)
    # The supervisor says when to stop. Handlers rather than SIG_IGN, which programs started by jobs
    # would inherit.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    threading.Thread(target=_follow, args=(lifeline,), daemon=True).start()
    try:
        anyio.run(_main, channel_fd, slots_fd, backend_options={"use_uvloop": True})
    except BaseException:
        traceback.print_exc()
    os._exit(1)


if __name__ == "__main__":
    main()
