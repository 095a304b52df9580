"""What processes hold in memory, and how much processor time they took. Only Linux tells."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from peers.tally import Counts

INTERVAL = 0.25


class Memory:
    """The largest proportional set size, in MB, of a process that runs jobs; 0 if not on Linux."""

    def __init__(self) -> None:
        self.peak = 0.0
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def watch(self, counts: Counts) -> None:
        """Look at them every quarter of a second, until `stop`."""
        self._thread = threading.Thread(target=self._watch, args=[counts], daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Look once more, and no longer."""
        self._stopped.set()
        if self._thread:
            self._thread.join()

    def _watch(self, counts: Counts) -> None:
        is_last = False
        while not is_last:
            is_last = self._stopped.wait(INTERVAL)
            self.peak = max([self.peak, *map(_pss, counts.pids())])


def _pss(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:")), 0.0)


def seconds_of_family(pid: int) -> float:
    """Processor time of a process, of its children, and of those that have ended; 0 elsewhere."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        children = [int(c) for t in tasks for c in (t / "children").read_text().split()]
        ticks = sum(_ticks(pid)) + sum(sum(_ticks(child)[:2]) for child in children)
    except OSError:
        return 0.0
    return ticks / os.sysconf("SC_CLK_TCK")


def _ticks(pid: int) -> list[int]:
    """In user and kernel mode, itself and those of its children that it has waited for."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return [0]
    return [int(part) for part in stat.rpartition(")")[2].split()[11:15]]
