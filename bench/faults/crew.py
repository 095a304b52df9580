"""Workers: their supervisors, their children, and what can be done to them."""

from __future__ import annotations

import os
import random
import re
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from pgq_worker.companion import Companion


class Worker(Companion):
    """A `pgq worker` that runs `faults.handlers`."""

    def children(self) -> list[int]:
        """The processes that it started."""
        return _children(self.pid)

    def signal_child(self, number: signal.Signals, chance: random.Random) -> int | None:
        """Signal one of its children; which one, or None when there was none."""
        if not (children := self.children()):
            return None
        child = chance.choice(children)
        with suppress(ProcessLookupError):
            os.kill(child, number)
        return child


class Crew:
    """The workers of a row, whole again after each blow."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder, self._environment = folder, dict(environment)
        self._count = 0
        self.workers: list[Worker] = []

    def hire(
        self,
        dsn: str,
        *arguments: str,
        app: str = "faults.handlers:app",
        environment: Mapping[str, str] | None = None,
    ) -> Worker:
        """Start a worker with these arguments of `pgq worker`."""
        self._count += 1
        worker = Worker(
            ["--app", app, *arguments],
            database_url=dsn,
            environment={**self._environment, **(environment or {})},
            log=self._folder / f"worker-{self._count}.log",
        )
        worker.start()
        self.workers.append(worker)
        return worker

    def replace(self, worker: Worker) -> None:
        """Kill a worker, supervisor and all, and start it anew."""
        worker.kill()
        worker.start()

    def deaths(self) -> int:
        """How many of their processes have ended by themselves, or by what they ran."""
        children = re.findall(r"child \d+ ended (?:by signal|with status)", self.logs())
        return sum(worker.ended() is not None for worker in self.workers) + len(children)

    def dismiss(self) -> None:
        """End all of them."""
        for worker in self.workers:
            worker.tell_to_stop()
        for worker in self.workers:
            worker.stop()
        self.workers.clear()

    def logs(self) -> str:
        """What they said."""
        return "\n".join(path.read_text() for path in sorted(self._folder.glob("worker-*.log")))


def _children(pid: int) -> list[int]:
    with suppress(OSError):
        tasks: Sequence[Path] = list(Path(f"/proc/{pid}/task").iterdir())
        return [int(child) for task in tasks for child in (task / "children").read_text().split()]
    return []


if sys.platform != "linux":
    raise ImportError("the faults need Linux: children are found in /proc")
