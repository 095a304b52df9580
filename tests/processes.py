"""Which processes a command left behind."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

PATIENCE = 60.0
"""Seconds that anything may take, on a slow machine."""


class Command:
    """`pgq …` in a process of its own, its output collected in a file."""

    def __init__(self, folder: Path, arguments: list[str], environment: dict[str, str]) -> None:
        self._mark = f"PGQ_TEST_MARK={uuid.uuid4()}"
        name, _, value = self._mark.partition("=")
        inherited = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("PG", "PGQ_")) and key != "DATABASE_URL"
        }
        self._output = folder / "output"
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "pgq", *arguments],
                env={**inherited, **environment, name: value},
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        """All that it and its children have said."""
        return self._output.read_text(errors="replace")

    def said(self, pattern: str) -> re.Match[str]:
        """Wait until it has said something."""
        wait(lambda: re.search(pattern, self.output) or self.process.poll() is not None)
        found = re.search(pattern, self.output)
        assert found, self.output
        return found

    def ended(self, patience: float = PATIENCE) -> int:
        """Wait for its exit status."""
        return self.process.wait(patience)

    def family(self) -> dict[int, str]:
        """Processes that run and that it, or one of them, started."""
        return {
            pid: command
            for pid, command, environment in _processes()
            if self._mark in environment or pid == self.process.pid
        }


@contextmanager
def running(folder: Path, *arguments: str, **environment: str) -> Iterator[Command]:
    """Run `pgq …` with only this environment of the queue's; ends all of its processes after."""
    command = Command(folder, list(arguments), environment)
    try:
        yield command
    finally:
        for pid in command.family():
            try:
                os.kill(pid, 9)
            except ProcessLookupError:
                continue
        command.process.wait()


def wait(is_so: Callable[[], object]) -> None:
    """Until it is so, or too late."""
    deadline = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)


def _processes() -> Iterator[tuple[int, str, str]]:
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (
                (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            )
            environment = (folder / "environ").read_bytes().decode(errors="replace")
        except OSError:
            continue
        if command:
            yield int(folder.name), command.strip(), environment
