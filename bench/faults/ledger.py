"""What happened, told by those who saw it, in files outside the database under test.

Producers enter each job whose commit was acknowledged, and sync the file. Handlers enter their
start and their end, each process in a file of its own: a process that is killed loses nothing that
it has written, so these files are not synced.
"""

from __future__ import annotations

import os
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

ENVIRONMENT = "FAULTS_LEDGER"
CLOCK = "FAULTS_CLOCK"
ORIGIN = time.time() - time.monotonic()
"""Handlers tell the time by the monotonic clock from here: their own may have been set wrong."""
_START, _END, _STOP = "start", "end", "stop"


@dataclass(frozen=True)
class Run:
    """A handler's run: of which job, under which lease, and when, by the machine's clock."""

    job: int
    token: str
    attempt: int
    pid: int
    began: float
    ended: float | None
    """None: it was never seen to end."""
    stopped: float | None
    """When it was told to stop; None if it was not."""


class Ledger:
    """The reader's side, and the producers'."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._acknowledged: dict[int, float] = {}
        self._file = os.open(folder / "acknowledged", os.O_CREAT | os.O_WRONLY | os.O_APPEND)

    def acknowledge(self, jobs: Iterable[int]) -> None:
        """Enter jobs whose commit was acknowledged."""
        now = time.time()
        entered = dict.fromkeys(jobs, now)
        text = "".join(f"{job} {now:.6f}\n" for job in entered)
        with self._lock:
            os.write(self._file, text.encode())
            os.fsync(self._file)
            self._acknowledged.update(entered)

    def acknowledged(self) -> dict[int, float]:
        """Each job that was acknowledged, and when."""
        with self._lock:
            return dict(self._acknowledged)

    def runs(self) -> dict[int, list[Run]]:
        """Each job's runs, in the order in which they began."""
        began: dict[tuple[int, str], tuple[int, int, float]] = {}
        others: dict[str, dict[tuple[int, str], float]] = {_END: {}, _STOP: {}}
        for kind, job, token, attempt, pid, at in self._entries():
            if kind == _START:
                began[job, token] = (attempt, pid, at)
            else:
                others[kind][job, token] = at
        runs: dict[int, list[Run]] = defaultdict(list)
        for (job, token), (attempt, pid, at) in sorted(began.items(), key=lambda run: run[1][2]):
            ended, stopped = (others[kind].get((job, token)) for kind in (_END, _STOP))
            runs[job].append(Run(job, token, attempt, pid, at, ended, stopped))
        return runs

    def _entries(self) -> Iterator[tuple[str, int, str, int, int, float]]:
        for path in self.folder.glob("handled-*"):
            pid = int(path.name.partition("-")[2])
            for line in path.read_text().splitlines():
                kind, job, token, attempt, at = line.split()
                yield kind, int(job), token, int(attempt), pid, float(at)


class Pen:
    """A handler's side: one for each process."""

    def __init__(self, folder: Path) -> None:
        self._origin = float(os.environ.get(CLOCK, ORIGIN))
        self._folder = folder
        path = folder / f"handled-{os.getpid()}"
        self._file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND)

    def start(self, job: int, token: object, attempt: int) -> None:
        """A handler begins."""
        self._enter(_START, job, token, attempt)

    def end(self, job: int, token: object, attempt: int) -> None:
        """A handler is about to return."""
        self._enter(_END, job, token, attempt)

    def stop(self, job: int, token: object, attempt: int) -> None:
        """A handler was told to stop."""
        self._enter(_STOP, job, token, attempt)

    def is_first(self, job: int) -> bool:
        """Whether nobody has asked this of the job before, in any process."""
        try:
            os.close(os.open(self._folder / f"first-{job}", os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return False
        return True

    def _enter(self, kind: str, job: int, token: object, attempt: int) -> None:
        now = self._origin + time.monotonic()
        os.write(self._file, f"{kind} {job} {token} {attempt} {now:.6f}\n".encode())
