"""Worker processes, and waiting for what they do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import psycopg

T = TypeVar("T")

HERE = Path(__file__).parent
DEADLINE = 60.0
"""Seconds within which what a test waits for has to happen."""


def until(look: Callable[[], T], what: str = "") -> T:
    """What `look` returns as soon as it is true. Fails when it is not in time."""
    end = time.monotonic() + DEADLINE
    while not (found := look()):
        assert time.monotonic() < end, f"in vain: {what or look}; last seen: {found!r}"
        time.sleep(0.02)
    return found


def is_alive(pid: int) -> bool:
    """Whether a process runs: one that is only waiting to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


class Worker:
    """A `pgq worker` process."""

    def __init__(
        self, dsn: str, *options: str, app: str, log: Path, environment: dict[str, str]
    ) -> None:
        self.log = log
        self._file = log.open("w")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pgq_worker", "-a", app, *options],
            env={
                **os.environ,
                "DATABASE_URL": dsn,
                "PGQ_LOG_LEVEL": "debug",
                "PYTHONPATH": str(HERE),
                **environment,
            },
            stderr=self._file,
            stdout=self._file,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        return self.process.pid

    def children(self) -> list[int]:
        """Process ids of its children that run."""
        path = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        return [pid for pid in map(int, path.read_text().split()) if is_alive(pid)]

    def said(self, text: str) -> bool:
        """Whether its log has the text."""
        return text in self.log.read_text()

    def signal_all(self, number: signal.Signals) -> None:
        """Signal it and all its children."""
        os.killpg(self.pid, number)

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def ended(self) -> int:
        """Its exit status, once it has ended."""
        try:
            return self.process.wait(DEADLINE)
        finally:
            self._file.close()

    def destroy(self) -> None:
        """Leave nothing of it behind."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.ended()


class Jobs:
    """Jobs in the test's database."""

    def __init__(self, conn: psycopg.Connection[Any]) -> None:
        self._conn = conn

    def add(self, task: str, payload: str = "{}", **columns: Any) -> int:
        """Insert a job; its id."""
        values = {"task": task, "payload": payload, **columns}
        row = self._conn.execute(
            f"insert into pgq.job ({', '.join(values)}) "
            f"values ({', '.join(['%s'] * len(values))}) returning id".encode(),
            list(values.values()),
        ).fetchone()
        assert row is not None
        return int(row[0])

    def one(self, query: str, *values: Any) -> Any:
        """The only value of the only row, None without a row."""
        row = self._conn.execute(query.encode(), values).fetchone()
        return row[0] if row else None

    def all(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        return self._conn.execute(query.encode(), values).fetchall()

    def state(self, job: int) -> str:
        return str(self.one("select state from pgq.get_job(%s)", job))

    def wait(self, job: int, *states: str) -> str:
        """Wait until the job is in one of the states."""
        return until(lambda: (s := self.state(job)) in states and s, f"job {job} {states}") or ""

    def result(self, job: int) -> Any:
        """The result of a job, once it has succeeded."""
        self.wait(job, "succeeded")
        return self.one("select result from pgq.get_payload(%s)", job)

    def attempts(self, job: int) -> list[tuple[str, bool]]:
        """Reason and whether it was charged, of each attempt that did not end well."""
        return self.all("select reason, charged from pgq.list_attempts(%s)", job)


class Ledger:
    """What handlers noted."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()

    def count(self, event: str, job: int | None = None) -> int:
        return len(self.pids(event, job))

    def pids(self, event: str, job: int | None = None) -> list[int]:
        """Processes in which this happened."""
        lines = [line.split() for line in self.path.read_text().splitlines()]
        return [int(pid) for what, id_, pid in lines if what == event and job in (None, int(id_))]

    def wait(self, event: str, job: int | None = None, times: int = 1) -> None:
        until(lambda: self.count(event, job) >= times, f"{event} of job {job}")
