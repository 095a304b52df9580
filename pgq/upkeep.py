"""Calls the upkeep verbs, each as its own statement: every worker and every server does."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, LiteralString

import psycopg

from pgq.errors import PgqError, Unavailable

log = logging.getLogger("pgq.upkeep")

INTERVAL = 1.0
"""Seconds between rounds."""
BACKLOG = 20
"""Most times that a verb is called in one round, while it finds as much to do as it may."""

Verb = tuple[str, LiteralString, int]
Fetch = Callable[[LiteralString], Awaitable[Sequence[Sequence[Any]]]]

PROMPT: Sequence[Verb] = (
    ("promote", "select pgq.promote()", 5000),
    ("reap", "select pgq.reap()", 1000),
    ("settle", "select pgq.settle()::integer", 2),
)
"""What jobs wait for; the last number is the most that one call does."""
PATIENT: Sequence[Verb] = (
    ("operate", "select pgq.operate()", 1000),
    ("fold", "select pgq.fold()", 20_000),
    ("sample", "select pgq.sample()", 1000),
    ("partition", "select pgq.partition()", 1000),
    ("prune", "select pgq.prune()", 5000),
    ("audit_state", "select pgq.audit_state()", 1_000_000_000),
)
"""What may take longer, and has a session of its own so that jobs need not wait for it."""


class Upkeep:
    """One round of verbs about once a second; `fetch` runs a statement in autocommit."""

    def __init__(self, fetch: Fetch, verbs: Sequence[Verb]) -> None:
        self._fetch = fetch
        self._verbs = verbs
        self._failing: set[str] = set()

    async def run(self) -> None:
        """Keep up, for good."""
        while True:
            for name, query, most in self._verbs:
                await self._call(name, query, most)
            await asyncio.sleep(INTERVAL * random.uniform(0.8, 1.2))  # noqa: S311

    async def _call(self, name: str, query: LiteralString, most: int) -> None:
        try:
            for _ in range(BACKLOG):
                rows = await self._fetch(query)
                if not rows or (rows[0][0] or 0) < most:
                    break
        except (PgqError, psycopg.Error) as error:
            if name not in self._failing:
                level = "debug" if isinstance(error, Unavailable) else "warning"
                getattr(log, level)("%s: %s", name, error)
            self._failing.add(name)
        else:
            self._failing.discard(name)
