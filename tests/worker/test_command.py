"""The command line of the worker, and what it tells systemd."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support import DEADLINE, Jobs, Ledger, Worker, until

Start = Callable[..., Worker]


@pytest.mark.parametrize(
    ("options", "app", "said"),
    [
        ((), "nowhere:app", "no module 'nowhere'"),
        ((), "handlers:echo", "expected a pgq.App"),
        ((), "handlers:nothing", "has nothing named 'nothing'"),
        ((), "hand lers", "expected package.module:app"),
        ((), "broken", "RuntimeError: broken on purpose"),
        (("-q", "mail=0"), "handlers", "expected name or name=jobs at once"),
        (("-q", "a,b,a"), "handlers", "'a' is named twice"),
        (("--processes", "0"), "handlers", "--processes is '0'"),
    ],
)
def test_mistake_is_one_line_and_status_2(
    start: Start, options: tuple[str, ...], app: str, said: str
) -> None:
    worker = start(*options, app=app)

    assert worker.ended() == 2
    last = worker.log.read_text().splitlines()[-1]
    assert last.startswith("pgq: ")
    assert said in last


def test_database_without_the_schema_is_refused(start: Start, empty_dsn: str) -> None:
    worker = start(url=empty_dsn)

    assert worker.ended() == 4
    assert "pgq migrate" in worker.log.read_text().splitlines()[-1]


def test_catch_all_takes_what_no_task_is_named_after(start: Start, jobs: Jobs) -> None:
    start(app="catch_all")

    assert jobs.result(jobs.add("anything at all", "[1]")) == {
        "task": "anything at all",
        "payload": [1],
    }


def test_catch_all_leaves_names_that_begin_with_pgq(start: Start, jobs: Jobs) -> None:
    start(app="catch_all")
    job = jobs.add("pgq.something")

    jobs.result(jobs.add("anything"))  # came later, so that whoever takes all had taken the other
    assert jobs.one("select s.state || s.attempt from pgq.job_status s where s.id = %s", job) == (
        "ready0"
    )


def test_names_that_begin_with_pgq_are_run_by_an_app_that_has_them(
    start: Start, jobs: Jobs
) -> None:
    job = jobs.add("pgq.something", '{"n": 1}')
    other = jobs.add("pgq.other")
    start(app="reserved")

    assert jobs.result(job) == {"n": 1}
    jobs.wait(other, "scheduled")


def test_log_lines_are_json_with_the_job(worker: Worker, jobs: Jobs) -> None:
    job = jobs.add("fail", max_attempts=1)
    jobs.wait(job, "dead")

    until(lambda: worker.said('"dead:'), "it is logged")

    lines = [json.loads(line) for line in worker.log.read_text().splitlines()]
    [failure] = [line for line in lines if line["message"].startswith("failed: ")]
    assert (failure["job"], failure["task"], failure["attempt"]) == (job, "fail", 1)


def test_password_is_not_logged(start: Start, dsn: str) -> None:
    worker = start("--grace", "0", url="postgresql://x:hunter2@127.0.0.1:1/x")
    until(lambda: worker.said("trying again"), "it cannot connect")
    worker.terminate()

    worker.ended()

    assert "hunter2" not in worker.log.read_text()


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    """The socket on which systemd hears its services."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ours:
        ours.bind(str(tmp_path / "notify"))
        ours.settimeout(DEADLINE)
        yield ours


def heard(systemd: socket.socket, word: str) -> None:
    """Wait for a message."""
    while word not in systemd.recv(4096).decode().split("\n"):
        pass


def hear_all(systemd: socket.socket) -> None:
    """Hear messages until none has come for a while."""
    while systemd.recv(4096):
        pass


def test_systemd_is_told_of_readiness_life_and_end(
    start: Start, jobs: Jobs, systemd: socket.socket
) -> None:
    worker = start(NOTIFY_SOCKET=systemd.getsockname(), WATCHDOG_USEC="200000")

    heard(systemd, "READY=1")
    heard(systemd, "WATCHDOG=1")
    heard(systemd, "STATUS=worker 1: claiming, 0 of 16 busy")
    worker.terminate()
    heard(systemd, "STOPPING=1")


def test_systemd_is_not_told_of_life_while_a_child_is_stuck(
    start: Start, jobs: Jobs, ledger: Ledger, systemd: socket.socket
) -> None:
    worker = start(NOTIFY_SOCKET=systemd.getsockname(), WATCHDOG_USEC="200000")
    heard(systemd, "WATCHDOG=1")
    [child] = until(worker.children)

    os.kill(child, signal.SIGSTOP)

    # Told five times in the time that is waited for one.
    systemd.settimeout(1)
    with pytest.raises(TimeoutError):
        hear_all(systemd)
