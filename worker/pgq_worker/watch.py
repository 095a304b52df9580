"""Looks at jobs many times a second: who is out of time, runs for long, or waits in vain."""

from __future__ import annotations

import asyncio
import time

import psycopg

from pgq.errors import PgqError
from pgq_worker import arrays, logs
from pgq_worker.dispatcher import PATIENCE, Dispatcher
from pgq_worker.jobs import ClaimedJob
from pgq_worker.sessions import Session
from pgq_worker.slots import Slots

log = logs.get("watch")

TICK = 0.05
NOTED_AFTER = 1.0
"""Seconds after which the database is told that a handler runs."""

START = (
    "select id from pgq.start(p_ids => ?::bigint[], p_tokens => ?::uuid[], "
    "p_ran_seconds => ?::float8[])"
)


class Watch:
    """Stops handlers at their timeout and reports the long ones."""

    def __init__(self, dispatcher: Dispatcher, slots: Slots, session: Session) -> None:
        self._dispatcher = dispatcher
        self._slots = slots
        self._session = session
        self._long: asyncio.Queue[list[ClaimedJob]] = asyncio.Queue()

    async def run(self) -> None:
        """Watch, for good."""
        running = self._dispatcher.running
        noted_at = gave_at = 0.0
        while True:
            now = time.monotonic()
            self._slots.tick(len(running))
            for job in running.values():
                if job.stop_reason is None and job.deadline < now:
                    job.stop("timeout")
            if now - noted_at > 5 * TICK:
                noted_at = now
                long = [
                    j
                    for j in running.values()
                    if not j.noted and 0 < j.begun_at < now - NOTED_AFTER
                ]
                for job in long:
                    job.noted = True
                if long:
                    self._long.put_nowait(long)
            if now - gave_at > 1:
                gave_at = now
                self._dispatcher.give_back(waited=PATIENCE)
            await asyncio.sleep(TICK if running else 4 * TICK)

    async def report(self) -> None:
        """Tell the database which handlers run for long, for good."""
        while True:
            jobs = await self._long.get()
            now = time.monotonic()
            try:
                lost = await self._session.insist(
                    START,
                    (
                        arrays.bigints([job.id for job in jobs]),
                        arrays.uuids([job.token for job in jobs]),
                        arrays.doubles([now - job.begun_at for job in jobs]),
                    ),
                )
            except (PgqError, psycopg.Error) as error:
                log.warning("cannot note long jobs: %s", error)
                continue
            ids = {row[0] for row in lost}
            for job in jobs:
                if job.id in ids and self._dispatcher.running.get(job.slot) is job:
                    job.stop("lost")
