"""What all requests of a process share, and how it begins and ends.

Something that runs for as long as the server does (a poller) becomes a field of `Services`, and is
started in the task group of `opened`, which is cancelled when the server stops. Streams end by
themselves when `stopping` is set, which happens first.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio

from pgq.connections import Statement
from pgq.sd_notify import Notifier
from pgq.upkeep import PATIENT, PROMPT, Upkeep
from pgq_server.access import Access
from pgq_server.events import Events
from pgq_server.gateway import Database
from pgq_server.life import Life
from pgq_server.settings import Settings
from pgq_server.streams import Streams
from pgq_server.tailing import Tails
from pgq_server.watching import Watcher


@dataclass(frozen=True, kw_only=True)
class Services:
    """Made once per process; `call.services` in a handler."""

    settings: Settings
    db: Database
    access: Access
    watcher: Watcher
    """Wakes long polls."""
    events: Events
    tails: Tails
    streams: Streams
    life: Life
    stopping: anyio.Event
    """Set when the server begins to stop: streams and long polls end."""


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Services]:
    """Services that run while the context is open."""
    db = Database(settings.dsn, size=settings.pool)
    access = Access(settings, db)
    services = Services(
        settings=settings,
        db=db,
        access=access,
        watcher=Watcher(db, most=settings.waiting),
        events=Events(db),
        tails=Tails(db),
        streams=Streams(access, most=settings.waiting),
        life=Life(db, Notifier.from_environment()),
        stopping=anyio.Event(),
    )
    try:
        async with anyio.create_task_group() as tasks:
            for each in (services.watcher, services.events, services.tails, services.streams):
                tasks.start_soon(each.run)
            for verbs in (PROMPT, PATIENT):
                upkeep = Upkeep(lambda query: db.fetch(Statement(query, ())), verbs)
                tasks.start_soon(upkeep.run)
            tasks.start_soon(services.life.run)
            tasks.start_soon(_end_waits, services)
            yield services
            services.stopping.set()
            tasks.cancel_scope.cancel()
    finally:
        await db.close()


async def _end_waits(services: Services) -> None:
    await services.stopping.wait()
    services.watcher.end()
    services.streams.end()
