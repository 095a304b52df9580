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

from pgq_server.access import Access
from pgq_server.gateway import Database
from pgq_server.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Services:
    """Made once per process; `call.services` in a handler."""

    settings: Settings
    db: Database
    access: Access
    stopping: anyio.Event
    """Set when the server begins to stop: streams and long polls end."""


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Services]:
    """Services that run while the context is open."""
    db = Database(settings.dsn, size=settings.pool)
    services = Services(
        settings=settings, db=db, access=Access(settings, db), stopping=anyio.Event()
    )
    try:
        async with anyio.create_task_group() as tasks:
            yield services
            services.stopping.set()
            tasks.cancel_scope.cancel()
    finally:
        await db.close()
