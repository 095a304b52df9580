"""A system that is compared, and the programs that drive it."""

from __future__ import annotations

import json
import os
import select
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, LiteralString

from peers.tally import Counts
from pgq.errors import PgqError
from pgq_bench.server import Session, opened, value

Go = Callable[[], float]
"""Lets workers loose; when that was, on the monotonic clock."""
PATIENCE = 60.0
"""Seconds without progress after which a measurement has failed."""
SETTLED = 0.3
"""Seconds from the first lookers' arrival at the lock to its release."""
WAITING: LiteralString = (
    "select count(distinct a.pid) from pg_stat_activity a "
    "where a.datname = current_database() and a.wait_event_type = 'Lock'"
)
LONGEST = 900
"""Seconds that a driver may take over an order."""
BATCH = 1000


def enqueue(
    system: System,
    dsn: str,
    *,
    first: int = 0,
    jobs: int,
    clients: int = 1,
    processes: int = 1,
    batch: int = 1,
    size: int = 200,
) -> float:
    """Make jobs with the system's own client; jobs a second."""
    share = jobs // processes
    orders = [
        {
            "dsn": dsn,
            "first": first + k * share,
            "jobs": jobs - share * (processes - 1) if k == processes - 1 else share,
            "clients": clients // processes,
            "batch": batch,
            "size": size,
        }
        for k in range(processes)
    ]
    answers = system.makers(orders, "enqueue")
    return jobs / (max(a["ended"] for a in answers) - min(a["begun"] for a in answers))


@dataclass
class Program:
    """A driver that runs. It says `ready`, and starts when told."""

    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    _process: subprocess.Popen[str] = field(init=False)

    def __enter__(self) -> Program:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command,
                env={**os.environ, **self.environment},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        return self

    def __exit__(self, *_: object) -> None:
        process = self._process
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for stream in (process.stdin, process.stdout):
            if stream:
                stream.close()

    def ready(self) -> None:
        """Wait until it is. Raises `PgqError`."""
        line = self._line()
        if line != "ready":
            raise self._failed(line)

    def go(self) -> None:
        """Tell it to start."""
        assert self._process.stdin
        self._process.stdin.write("go\n")
        self._process.stdin.flush()

    def answer(self) -> dict[str, float]:
        """What it says in the end. Raises `PgqError`."""
        line = self._line()
        try:
            answer: dict[str, float] = json.loads(line)
        except ValueError:
            raise self._failed(line) from None
        return answer

    def finish(self) -> None:
        """Wait for its end. Raises `PgqError` when it failed."""
        if self._process.wait(PATIENCE):
            raise self._failed("")

    def _line(self) -> str:
        stdout = self._process.stdout
        assert stdout
        if not select.select([stdout], [], [], LONGEST)[0]:
            return f"no word for {LONGEST} s"
        return stdout.readline().strip()

    def _failed(self, line: str) -> PgqError:
        words = self.log.read_text(errors="replace").strip().splitlines()
        return PgqError(f"{self.command[-2]} failed: {line or (words[-1] if words else 'no word')}")


@dataclass(frozen=True)
class System:
    """One of those that are compared, driven by a program in its own environment.

    `paces` are jobs a second to be expected, for sizes only; `extra` is added to each order. One
    that makes jobs like another (`same_client_as`) is given that one's figures for it.
    """

    name: str
    title: str
    settings: str
    paces: Mapping[str, int]
    command: Sequence[str]
    environment: Mapping[str, str]
    databases: Callable[[], AbstractContextManager[str]]
    log: Path
    unfinished_sql: LiteralString
    kept_sql: LiteralString
    table: LiteralString
    extra: Mapping[str, Any] = field(default_factory=dict)
    same_client_as: str | None = None

    @contextmanager
    def database(self) -> Iterator[str]:
        """A new database in which it is installed."""
        with self.databases() as dsn:
            with self._program("setup", {"dsn": dsn}) as program:
                program.finish()
            yield dsn

    def makers(self, orders: Sequence[Mapping[str, Any]], verb: str) -> list[dict[str, float]]:
        """Have a process carry out each order, all from the same moment; their answers."""
        with ExitStack() as stack:
            programs = [stack.enter_context(self._program(verb, order)) for order in orders]
            for program in programs:
                program.ready()
            for program in programs:
                program.go()
            return [program.answer() for program in programs]

    @contextmanager
    def working(self, dsn: str, processes: int, counts: Counts) -> Iterator[Go]:
        """Worker processes, ready and waiting for the word that this gives.

        They start behind a lock on their jobs' table, so that what they do once at a start is done
        when the clock starts, and their first look for jobs is not.
        """
        order = {"dsn": dsn, "folder": str(counts.folder), "jobs": counts.jobs}
        with ExitStack() as stack:
            programs = [stack.enter_context(self._program("work", order)) for _ in range(processes)]
            for program in programs:
                program.ready()

            def go() -> float:
                with opened(dsn) as session, opened(dsn) as watcher:
                    session.execute("begin")
                    session.execute(f"lock table {self.table} in access exclusive mode")
                    for program in programs:
                        program.go()
                    wait(
                        lambda: int(value(watcher, WAITING)) >= processes,
                        lambda: value(watcher, WAITING),
                        f"{self.name} starts to look for jobs",
                    )
                    time.sleep(SETTLED)
                    released = time.monotonic()
                    session.execute("commit")
                return released

            yield go

    def unfinished(self, session: Session) -> int:
        """Jobs in the database that are not done."""
        return int(value(session, self.unfinished_sql))

    def kept(self, session: Session) -> int:
        """Jobs in the database, done or not."""
        return int(value(session, self.kept_sql))

    def _program(self, verb: str, order: Mapping[str, Any]) -> Program:
        command = [*self.command, verb, json.dumps({**order, **self.extra})]
        return Program(command, self.environment, self.log)


def wait(is_done: Callable[[], bool], progress: Callable[[], object], what: str) -> None:
    """Until `is_done`; raises `PgqError` when nothing in `progress` changes for too long."""
    last, deadline = progress(), time.monotonic() + PATIENCE
    while not is_done():
        now = progress()
        if now != last:
            last, deadline = now, time.monotonic() + PATIENCE
        if time.monotonic() > deadline:
            raise PgqError(f"{what}: nothing moved for {PATIENCE:g} s, at {now}")
        time.sleep(0.005)
