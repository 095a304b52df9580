"""Breaks a rule of the worker in each of its processes, by the name in `FAULTS_MUTANT`."""

from __future__ import annotations

import asyncio
import json
import os
import time
from typing import Any


def decoded_together() -> None:
    """A worker decodes what it claims before it looks at single jobs."""
    from pgq_worker.dispatcher import Dispatcher

    accept = Dispatcher.accept

    def accept_decoded(self: Dispatcher, rows: Any, token: Any) -> None:
        rows = list(rows)
        for row in rows:
            json.loads(row[3])
        accept(self, rows, token)

    Dispatcher.accept = accept_decoded  # type: ignore[method-assign]


def handlers_go_on() -> None:
    """A worker that cannot renew its leases does not stop its handlers."""
    from pgq_worker.registration import Standing

    async def guard(self: Any) -> None:
        await asyncio.Event().wait()

    Standing.guard = guard  # type: ignore[method-assign]


def heartbeat_with_handlers() -> None:
    """A worker sends no heartbeat while a process of it is busy, as if it ran the jobs itself."""
    from pgq_worker.registration import Registration, Standing
    from pgq_worker.supervisor import Supervisor

    beat = Standing._beat

    async def beat_when_free(self: Standing, registration: Registration) -> None:
        assert isinstance(self._holder, Supervisor)
        children = self._holder._children.values()
        if all(time.monotonic() - child.slots.ticked_at < 1 for child in children if child.ready):
            await beat(self, registration)

    Standing._beat = beat_when_free  # type: ignore[method-assign]


def jobs_kept_in_memory() -> None:
    """A worker never forgets what it has run."""
    from pgq_worker.dispatcher import Dispatcher

    accept, kept = Dispatcher.accept, list[bytes]()

    def accept_and_keep(self: Dispatcher, rows: Any, token: Any) -> None:
        kept.extend(bytes(50_000).replace(b"\0", b".") for _ in rows)
        accept(self, rows, token)

    Dispatcher.accept = accept_and_keep  # type: ignore[method-assign]


def no_backoff() -> None:
    """A worker without a database tries again at once."""
    from pgq_worker import sessions

    sessions._SHORTEST = sessions._LONGEST = 0.0


def nothing_released() -> None:
    """A worker that stops gives nothing back, and does not say that it goes."""
    from pgq_worker.dispatcher import Dispatcher
    from pgq_worker.registration import Standing
    from pgq_worker.supervisor import Supervisor

    async def settle(self: Supervisor, child: Any, held: Any, in_order: bool) -> None:
        """What it held stays in hand, else a heartbeat would give it back."""

    async def leave(self: Standing) -> None:
        pass

    Dispatcher.stop_running = lambda self, reason: None  # type: ignore[method-assign]
    Supervisor._settle = settle  # type: ignore[method-assign]
    Standing.leave = leave  # type: ignore[method-assign]


def refuses_newer_schema() -> None:
    """A worker works with the schema that its release brings, and with no newer one."""
    from pgq import errors, schema
    from pgq_worker import command

    def check_version(found: int) -> None:
        if found != schema.VERSION:
            raise errors.SchemaMismatch("the schema is not this release's")

    command.check_version = check_version


def suspects_in_company() -> None:
    """Suspects run beside other jobs."""
    from pgq_worker.claims import Claims

    init = Claims.__init__

    def claim_any(self: Claims, *args: Any, **options: Any) -> None:
        init(self, *args, **{**options, "suspects": None})

    Claims.__init__ = claim_any  # type: ignore[method-assign]


def wakes_only() -> None:
    """A worker neither polls nor looks for what it missed while it did not listen."""
    from pgq_worker.claims import Claims
    from pgq_worker.listening import Listener

    resume, begin = Claims.resume, Listener.__init__

    def resume_for_good(self: Claims, worker: int, poll: float) -> None:
        resume(self, worker, 1e6)

    def begin_deaf(self: Listener, *words: Any, hear: Any, **named: Any) -> None:
        begin(self, *words, hear=lambda message: hear(message) if message else None, **named)

    Claims.resume = resume_for_good  # type: ignore[method-assign]
    Listener.__init__ = begin_deaf  # type: ignore[method-assign]


def want_of_room_is_final() -> None:
    """A database without room, or that takes no writes, has refused what was said to it."""
    from pgq import database

    kept = tuple(state for state in database._GONE if state not in ("53", "25006"))
    database._GONE = kept  # type: ignore[assignment]


if name := os.environ.get("FAULTS_MUTANT"):
    globals()[name]()
