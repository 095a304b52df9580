"""`pgq worker` as a process of its own that does not outlive the one that started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

GRACE = 10.0
"""Seconds from the end of the one that started it until it ends without grace."""


class Companion:
    """A worker process with these arguments of `pgq worker`.

    Leaving the context ends it in good order; so does the end of this process, however it ends.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        database_url: str,
        environment: Mapping[str, str] | None = None,
        log: Path | None = None,
    ) -> None:
        self._arguments = list(arguments)
        self._environment = {**os.environ, **(environment or {}), "DATABASE_URL": database_url}
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """Of the worker's supervisor."""
        return self._started().pid

    def start(self) -> None:
        """Start the process; it registers when it is up."""
        output: Any = self._log.open("ab") if self._log else subprocess.DEVNULL
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "pgq_worker.companion", "worker", *self._arguments],
                env=self._environment,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        finally:
            if self._log:
                output.close()

    def ended(self) -> int | None:
        """The exit status, or None while it runs."""
        return self._started().poll()

    def kill(self) -> None:
        """End it as a crash would: SIGKILL, and nothing is told to anybody."""
        self._started().kill()
        self._started().wait()

    def freeze(self) -> None:
        """Stop the clock of all its processes: SIGSTOP."""
        os.killpg(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let them go on."""
        os.killpg(self.pid, signal.SIGCONT)

    def tell_to_stop(self) -> None:
        """Have it end in good order, and wait for nothing."""
        if self.ended() is None:
            self.thaw()
            self._started().terminate()

    def stop(self) -> None:
        """End it in good order, and wait."""
        process = self._process
        if process is None:
            return
        if process.poll() is None:
            self.tell_to_stop()
            try:
                process.wait(GRACE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if process.stdin:
            process.stdin.close()

    def _started(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "start() comes first"
        return self._process


def _watch() -> None:
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE)
    os._exit(1)


if __name__ == "__main__":
    from pgq.cli import main

    threading.Thread(target=_watch, daemon=True).start()
    main(prog_name="pgq")
