"""Tells systemd that the server serves: while its loop turns and the database answers."""

from __future__ import annotations

import time

import anyio

from pgq.errors import PgqError
from pgq.sd_notify import Notifier
from pgq_server.gateway import Gateway


class Life:
    """Signs of life, from `begin` on."""

    def __init__(self, db: Gateway, notifier: Notifier) -> None:
        self._db = db
        self._notifier = notifier
        self._serving = ""
        self._answered_at = time.monotonic()
        self._begun = anyio.Event()

    def begin(self, url: str) -> None:
        """The server listens there."""
        self._serving = f"serving {url}"
        self._notifier.ready(self._serving)
        self._begun.set()

    def end(self) -> None:
        """The server stops in good order."""
        self._notifier.stopping()

    async def run(self) -> None:
        """Look and tell, for good."""
        if not self._notifier.is_heard:
            return
        await self._begun.wait()
        while True:
            await self._look()
            await anyio.sleep(self._notifier.interval)

    async def _look(self) -> None:
        try:
            with anyio.fail_after(self._notifier.interval):
                await self._db.value("version")
        except (PgqError, TimeoutError):
            silent = time.monotonic() - self._answered_at
            self._notifier.status(f"the database has not answered for {silent:.0f} s")
            return
        self._answered_at = time.monotonic()
        self._notifier.alive()
        self._notifier.status(self._serving)
