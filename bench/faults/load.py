"""Jobs at a steady rate, each entered in the ledger when its commit was acknowledged."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import psycopg

from faults.background import Over
from faults.ledger import Ledger
from pgq import database
from pgq.errors import PgqError

INSERT = """
insert into pgq.job (task, queue, payload)
select %s, %s, %s::json from generate_series(1, %s)
returning id
"""
PAUSE = 0.05
"""Seconds between batches, and before another attempt to connect."""


class Load:
    """Enqueues at a rate, whatever the database goes through."""

    def __init__(
        self,
        dsn: str,
        ledger: Ledger,
        *,
        rate: float,
        task: str = "work",
        queue: str = "default",
        payload: Mapping[str, Any] | None = None,
    ) -> None:
        self._dsn, self._ledger, self._rate = dsn, ledger, rate
        self._values = (task, queue, json.dumps(payload or {}))
        self.failures: list[str] = []
        """What enqueueing failed with."""

    def run(self, over: Over) -> None:
        """Enqueue until it is over."""
        while not over.is_set():
            try:
                with database.connect(self._dsn, application_name="pgq producer") as session:
                    self._offer(session.execute, over)
            except (psycopg.OperationalError, psycopg.InternalError, PgqError) as error:
                self.failures.append(str(error).partition("\n")[0])
                over.wait(PAUSE)

    def _offer(
        self, execute: Callable[[str, Sequence[Any]], psycopg.Cursor[Any]], over: Over
    ) -> None:
        begun, offered = time.monotonic(), 0
        while not over.wait(PAUSE):
            due = int((time.monotonic() - begun) * self._rate) - offered
            if due > 0:
                rows = execute(INSERT, [*self._values, due]).fetchall()
                self._ledger.acknowledge(row[0] for row in rows)
                offered += due
