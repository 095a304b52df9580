"""What ran, in a file of each worker process, which the bench reads while it is written.

A file holds when the first job started (a double, CLOCK_MONOTONIC), how many ran (a 64-bit
integer), and for each job a byte that counts its runs. A second file, made only when jobs carry the
time at which they were sent, holds how many seconds each waited (doubles). The processes share
nothing, so nothing is lost between them. Standard library only: rivals' environments import it.
"""

from __future__ import annotations

import mmap
import os
import time
from array import array
from pathlib import Path

HEADER = 16


class Tally:
    """Counts the runs of jobs 0 … jobs - 1 in this process; `folder` belongs to one measurement."""

    def __init__(self, folder: str, jobs: int) -> None:
        self._folder, self._jobs = folder, jobs
        view = _mapped(Path(folder, f"{os.getpid()}.runs"), HEADER + jobs)
        self._first, self._total = view[:8].cast("d"), view[8:HEADER].cast("q")
        self._runs = view[HEADER:]
        self._waits: memoryview[float] | None = None

    def ran(self, n: int, sent: float = 0.0) -> None:
        """Job n runs now; `sent` is when it was made, by the same clock, or 0."""
        if not self._total[0]:
            self._first[0] = time.monotonic()
        self._total[0] += 1
        self._runs[n] += 1
        if sent:
            self._waited(n, time.monotonic() - sent)

    def _waited(self, n: int, seconds: float) -> None:
        if self._waits is None:
            path = Path(self._folder, f"{os.getpid()}.waits")
            self._waits = _mapped(path, 8 * self._jobs).cast("d")
        self._waits[n] = seconds


class Counts:
    """What all processes of one measurement ran."""

    def __init__(self, folder: Path, jobs: int) -> None:
        self.folder, self.jobs = folder, jobs
        folder.mkdir(parents=True)

    def runs(self) -> int:
        """How many runs there were so far."""
        return sum(array("q", header[8:])[0] for header in self._headers().values())

    def first(self) -> float:
        """When the first job started, on the monotonic clock."""
        return min(array("d", h[:8])[0] for h in self._headers().values() if any(h[:8]))

    def pids(self) -> list[int]:
        """The processes that ran jobs."""
        return [pid for pid, header in self._headers().items() if any(header[8:])]

    def problem(self, *, all_ran: bool = True) -> str | None:
        """Why not each job ran exactly once (or, without `all_ran`, at most once); None if so."""
        total = sum(
            int.from_bytes(path.read_bytes()[HEADER:], "little")
            for path in self.folder.glob("*.runs")
        )
        each = total.to_bytes(self.jobs + 1, "little")[: self.jobs]
        missing = each.count(0)
        repeated = self.jobs - missing - each.count(1)
        if repeated:
            return f"{repeated:,} of {self.jobs:,} jobs ran more than once"
        if missing and all_ran:
            return f"{missing:,} of {self.jobs:,} jobs did not run"
        return None

    def waits(self) -> list[float]:
        """Seconds from sending to start, in the order of the jobs' numbers."""
        together = [0.0] * self.jobs
        for path in self.folder.glob("*.waits"):
            for n, seconds in enumerate(array("d", path.read_bytes())):
                together[n] = together[n] or seconds
        return [seconds for seconds in together if seconds]

    def _headers(self) -> dict[int, bytes]:
        headers = {}
        for path in self.folder.glob("*.runs"):
            with path.open("rb") as file:
                header = file.read(HEADER)
            if len(header) == HEADER:
                headers[int(path.stem)] = header
        return headers


def _mapped(path: Path, size: int) -> memoryview[int]:
    with path.open("w+b") as file:
        file.truncate(size)
        return memoryview(mmap.mmap(file.fileno(), size))
