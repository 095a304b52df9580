"""The command line against the test's database, in this process and in one of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from pgq.cli import main

PROGRAM = str(Path(sys.executable).with_name("pgq"))


@dataclass(frozen=True)
class Answer:
    """What a command line came to."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        """Objects that stand on a line each."""
        return [json.loads(line) for line in self.out.splitlines()]

    def refusal(self, code: int) -> str:
        """The one line that it said when it was refused with this code."""
        assert self.code == code, self
        assert self.out == ""
        assert self.err.startswith("pgq: ")
        assert self.err.count("\n") == 1, self.err
        return self.err


Run = Callable[..., Answer]
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def pgq(dsn: str) -> Run:
    """Runs a command line in this process; it has to succeed unless another code is expected."""

    def run(
        *words: object, code: int = 0, stdin: str | bytes | None = None, database: str = dsn
    ) -> Answer:
        done = CliRunner().invoke(
            main, [str(word) for word in words], input=stdin, env={"DATABASE_URL": database}
        )
        assert done.exit_code == code, (done.output, done.exception)
        return Answer(done.exit_code, done.stdout, done.stderr)

    return run


@pytest.fixture
def start(dsn: str) -> Iterator[Start]:
    """Starts `pgq` as its own process with pipes; what runs at the end of the test is killed."""
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    with ExitStack() as stack:

        def popen(*words: object, **streams: int) -> subprocess.Popen[str]:
            pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE) | streams
            process = subprocess.Popen(
                [PROGRAM, *map(str, words)],
                env={**environment, "DATABASE_URL": dsn},
                stdin=pipes["stdin"],
                stdout=pipes["stdout"],
                stderr=pipes["stderr"],
                text=True,
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        yield popen


@pytest.fixture
def shell(start: Start) -> Run:
    """Runs a command line in a process of its own."""

    def run(*words: object, code: int = 0, stdin: str = "") -> Answer:
        process = start(*words)
        out, err = process.communicate(stdin, timeout=60)
        assert process.returncode == code, err
        return Answer(process.returncode, out, err)

    return run
