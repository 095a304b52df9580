"""Logs as they are written: one query for all who follow any."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pgq.errors import NoSuchJob
from pgq_server.gateway import Gateway, Row, verb
from pgq_server.models.base import columns_of
from pgq_server.models.jobs import LogLine
from pgq_server.polling import Poller
from pgq_server.streams import Outlet, event

COLUMNS = ("id", *columns_of(LogLine))
LINES = 1000
"""That are asked for at a time, over all logs."""
ROUNDS = 20
"""Most queries in a row, while logs are far behind."""


@dataclass(eq=False, slots=True)
class _Reader:
    job_id: int
    after: int
    """Number of the last line that was put into the outlet."""
    is_ending: bool = False
    """Whether the job had ended when it was looked at last."""


class Tails(Poller):
    """Sends lines in their order, each once, then `end` when the job has ended.

    Who has not taken what was sent is passed over, so that nothing piles up.
    """

    interval = 0.25

    def __init__(self, db: Gateway) -> None:
        super().__init__()
        self._db = db
        self._readers: dict[Outlet, _Reader] = {}

    @property
    def is_wanted(self) -> bool:
        """Whether anybody follows a log."""
        return bool(self._readers)

    @contextmanager
    def following(self, outlet: Outlet, job_id: int, after: int) -> Iterator[None]:
        """The lines of a job's log that have higher numbers."""
        self._readers[outlet] = _Reader(job_id, after)
        self.call()
        try:
            yield
        finally:
            self._readers.pop(outlet, None)

    async def look(self) -> None:
        """Ask for the lines that readers wait for."""
        for _ in range(ROUNDS):
            if not await self._is_behind():
                return

    async def _is_behind(self) -> bool:
        """Ask once; whether there may be more."""
        asked = {outlet: each for outlet, each in self._readers.items() if outlet.is_idle}
        if not asked:
            return False
        afters: dict[int, int] = {}
        for reader in asked.values():
            afters[reader.job_id] = min(reader.after, afters.get(reader.job_id, reader.after))
        rows, lines = await self._db.batch(
            verb("watch", ("id",), p_ids=list(afters), p_queues=[]),
            verb(
                "tail_logs",
                COLUMNS,
                p_ids=list(afters),
                p_afters=list(afters.values()),
                p_limit=LINES,
            ),
        )
        ended = {row["id"] for row in rows}
        found: dict[int, list[Row]] = {}
        for line in lines:
            found.setdefault(line.pop("id"), []).append(line)
        for outlet, reader in asked.items():
            if reader.job_id in found:
                _put(outlet, reader, found[reader.job_id])
        # The second time: lines that were on their way when it ended have come.
        await self._end(
            [
                outlet
                for outlet, reader in asked.items()
                if reader.is_ending and reader.job_id in ended - found.keys()
            ]
        )
        for reader in asked.values():
            reader.is_ending = reader.job_id in ended
        share = max(LINES // max(len(found), 1), 1)
        return any(len(each) >= share for each in found.values())

    async def _end(self, outlets: list[Outlet]) -> None:
        states: dict[int, str | None] = {}
        for outlet in outlets:
            if (reader := self._readers.get(outlet)) is None:
                continue
            job_id = reader.job_id
            if job_id not in states:
                states[job_id] = await self._state(job_id)
            self._readers.pop(outlet, None)
            outlet.put(event("end", {"state": states[job_id]}))
            outlet.end()

    async def _state(self, job_id: int) -> str | None:
        try:
            row = await self._db.row("get_job", ("state",), p_id=job_id)
        except NoSuchJob:
            return None
        return str(row["state"])


def _put(outlet: Outlet, reader: _Reader, lines: list[Row]) -> None:
    chunk = b"".join(
        event("log", LogLine(**line), number=line["n"])
        for line in lines
        if line["n"] > reader.after
    )
    if chunk:
        outlet.put(chunk)
        reader.after = lines[-1]["n"]
