"""What only a terminal sees: progress, and the question before a purge."""

from __future__ import annotations

import os
import pty
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from cli.conftest import Run, Start
from sql.states import job_in
from sql.support import Conn, state


class Terminal(NamedTuple):
    ours: int
    theirs: int

    def read_until(self, wanted: str) -> str:
        seen = ""
        while wanted not in seen:
            seen += os.read(self.ours, 1024).decode()
        return seen


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    """Both ends of a terminal."""
    both = Terminal(*pty.openpty())
    yield both
    for end in both:
        os.close(end)


def test_long_work_shows_how_far_it_is(conn: Conn, start: Start, terminal: Terminal) -> None:
    process = start("enqueue", "echo", "--stdin", stderr=terminal.theirs)
    assert process.stdin is not None
    process.stdin.write("1\n2\n")
    process.stdin.flush()
    terminal.read_until("2 jobs entered")
    assert process.communicate(timeout=60)[0] == "2 jobs entered\n"


def test_a_wait_shows_how_the_job_stands(conn: Conn, start: Start, terminal: Terminal) -> None:
    job = job_in(conn, "ready")
    start("job", "wait", job, stderr=terminal.theirs)
    terminal.read_until(f"job {job} is ready")


@pytest.mark.parametrize(("answer", "code", "stays"), [("n", 1, True), ("y", 0, False)])
def test_a_purge_asks_first(
    conn: Conn, start: Start, terminal: Terminal, answer: str, code: int, stays: bool
) -> None:
    job = job_in(conn, "dead")
    process = start("dead", "purge", job, stdin=terminal.theirs, stderr=terminal.theirs)
    terminal.read_until("Delete all such dead letters for good? [y/N]")
    assert state(conn, job) == "dead"
    os.write(terminal.ours, f"{answer}\n".encode())
    assert process.wait(timeout=60) == code
    assert (state(conn, job) == "dead") is stays


def test_a_table_is_cut_at_the_edge_of_the_terminal(
    conn: Conn, pgq: Run, start: Start, terminal: Terminal
) -> None:
    job_in(conn, "ready", task="t" * 60, queue="q" * 60)
    widest = max(map(len, pgq("job", "list").out.splitlines()))
    process = start("job", "list", stdout=terminal.theirs)
    assert process.wait(timeout=60) == 0
    lines = terminal.read_until("…\r\n").splitlines()
    assert max(map(len, lines)) == 80 < widest
