"""What changes in the cluster: one reader of `stats()` per process, for all who listen."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from pgq_server.access import Identity
from pgq_server.gateway import Gateway, Row
from pgq_server.models.base import columns_of
from pgq_server.models.service import Count
from pgq_server.polling import Poller
from pgq_server.streams import Outlet, event

COLUMNS = columns_of(Count)
_KEY = ("queue", "metric", "label", "bucket")

Counts = dict[tuple[str | float | None, ...], Row]
Only = tuple[str, ...] | None


class Events(Poller):
    """Sends counts that have changed, after a snapshot of all.

    A snapshot is what was read last, so that a listener who joins others costs no query.
    """

    interval = 1.0

    def __init__(self, db: Gateway) -> None:
        super().__init__()
        self._db = db
        self._listeners: dict[Outlet, Only] = {}
        self._counts: Counts | None = None
        self._series = secrets.token_hex(4)
        self._n = 0

    @property
    def is_wanted(self) -> bool:
        """Whether anybody listens."""
        return bool(self._listeners)

    @contextmanager
    def listening(self, outlet: Outlet, identity: Identity) -> Iterator[None]:
        """A snapshot, and changes from then on."""
        if self._counts is not None:
            outlet.put(self._event("snapshot", self._counts, identity.queues))
        self._listeners[outlet] = identity.queues
        self.call()
        try:
            yield
        finally:
            del self._listeners[outlet]
            if not self._listeners:
                self._counts = None

    async def look(self) -> None:
        """Read the counts and tell all listeners of those that have changed."""
        rows = await self._db.rows("stats", COLUMNS)
        if not self._listeners:
            return
        before = self._counts
        self._counts = {tuple(row[name] for name in _KEY): row for row in rows}
        if before is None:
            self._tell("snapshot", self._counts)
        elif changed := {key: row for key, row in self._counts.items() if before.get(key) != row}:
            self._n += 1
            self._tell("change", changed)

    def _tell(self, name: str, counts: Counts) -> None:
        made: dict[Only, bytes] = {}
        for outlet, only in self._listeners.items():
            if only not in made:
                made[only] = self._event(name, counts, only)
            if made[only]:
                outlet.put(made[only])

    def _event(self, name: str, counts: Counts, only: Only) -> bytes:
        """Empty when it is about other queues."""
        items = [row for row in counts.values() if only is None or row["queue"] in only]
        if not items and name == "change":
            return b""
        return event(name, {"items": items}, number=f"{self._series}-{self._n}")
