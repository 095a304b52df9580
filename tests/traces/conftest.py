"""Servers and workers that send their spans to a receiver."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

import processes
import servers
from processes import Command

sys.path.insert(0, str(Path(__file__).parent))

from receiver import Receiver, receiving
from traced_jobs import CALLER, Hall, Jobs

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def hall(server: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hall]:
    name = f"pgq_traces_{os.getpid()}"
    with (
        servers.database(server, name, template=template) as dsn,
        psycopg.connect(dsn, autocommit=True) as conn,
        receiving() as receiver,
    ):
        jobs = Jobs(conn)
        environment = {
            "DATABASE_URL": dsn,
            "PYTHONPATH": str(HERE),
            **receiver.environment,
        }
        folders = [tmp_path_factory.mktemp(kind) for kind in ("worker", "server")]
        worker = ("worker", "-a", "traced:app", "-q", "default,mail")
        with (
            processes.running(folders[0], *worker, **environment),
            processes.running(folders[1], "server", "--port", "0", **environment) as serving,
        ):
            url = serving.said(r"pgq serves (\S+)/\n")[1]
            with httpx.Client(base_url=url, timeout=processes.PATIENCE) as api:
                yield Hall(dsn, api, jobs, receiver)


@pytest.fixture
def trace() -> str:
    """The id of a trace that only this test knows."""
    return uuid.uuid4().hex


@pytest.fixture
def parent(trace: str) -> str:
    """The `traceparent` of a request in it."""
    return f"00-{trace}-{CALLER}-01"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def jobs(conn: psycopg.Connection[Any]) -> Jobs:
    return Jobs(conn)


@pytest.fixture
def start(dsn: str, tmp_path: Path) -> Iterator[Callable[..., Command]]:
    """Starts `pgq …`; what is left of it ends with the test."""
    numbers = itertools.count()
    with ExitStack() as stack:

        def start(*arguments: str, **environment: str) -> Command:
            folder = tmp_path / f"{arguments[0]}-{next(numbers)}"
            folder.mkdir()
            variables = {"DATABASE_URL": dsn, "PYTHONPATH": str(HERE), **environment}
            command = stack.enter_context(processes.running(folder, *arguments, **variables))
            stack.callback(lambda: sys.stderr.write(command.output))
            return command

        yield start


@pytest.fixture
def worker(start: Callable[..., Command], receiver: Receiver) -> Callable[..., Command]:
    """Starts a worker that sends its spans to the receiver, unless it is told otherwise."""

    def start_worker(*options: str, app: str = "traced:app", **environment: str) -> Command:
        variables = {**receiver.environment, **environment}
        return start("worker", "-a", app, *options, **variables)

    return start_worker


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Any]:
    """Runs a program that has set OpenTelemetry up; what it prints last, read as JSON."""

    def run(hall: Hall, program: str) -> Any:
        done = subprocess.run(
            [sys.executable, "-c", f"import json\nfrom set_up import app, span\n{program}"],
            env={"DATABASE_URL": hall.dsn, "PYTHONPATH": str(HERE), **hall.receiver.environment},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=processes.PATIENCE,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return run
