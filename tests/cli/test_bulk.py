"""Verbs for all jobs that pass a filter, as tracked operations."""

from __future__ import annotations

import os
import re
import signal

import psycopg
import pytest

from cli.conftest import Run, Start
from cli.test_terminal import Terminal, terminal
from sql.states import job_in
from sql.support import Conn, answer, column, insert, row, state

__all__ = ["terminal"]


def states(conn: Conn, jobs: list[int]) -> set[str | None]:
    return {state(conn, job) for job in jobs}


def test_cancels_all_that_pass_a_filter(conn: Conn, shell: Run) -> None:
    mails = insert(conn, 2500, queue="mail")
    others = insert(conn, 3, queue="other")
    done = shell("job", "cancel", "--queue", "mail", "--yes").out
    assert re.fullmatch(r"operation \d+ done: 2,500 jobs done\n", done)
    assert states(conn, mails) == {"cancelled"}
    assert states(conn, others) == {"ready"}
    assert row(conn, "select state, done from pgq.list_operations()") == {
        "state": "done", "done": 2500,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--queue", "x"), ("--state", "scheduled"), ("--task", "x"), ("--tag", "x"),
        ("--created-after", "2999-01-01"), ("--where", "user.id=42"),
    ],
)  # fmt: skip
def test_each_filter_tells_which(conn: Conn, pgq: Run, option: str, value: str) -> None:
    jobs = insert(conn, 2)
    meant = insert(
        conn, queue="x", task="x", tags=["x"], payload='{"user": {"id": 42}}', run_at="2999-01-01"
    )
    done = pgq("job", "cancel", option, value, "-y", "-o", "json").json
    if option == "--created-after":
        assert done["done"] == 0
        return
    assert done["done"] == 1
    assert states(conn, meant) == {"cancelled"}
    assert states(conn, jobs) == {"ready"}


def test_all_is_said(conn: Conn, pgq: Run) -> None:
    jobs = insert(conn, 2) + insert(conn, queue="other")
    assert pgq("job", "cancel", "--all", "-y", "-o", "json").json["done"] == 3
    assert pgq("job", "retry", "--all", "-y", "-o", "json").json["done"] == 3
    assert states(conn, jobs) == {"ready"}


def test_run_now_makes_what_waits_ready(conn: Conn, pgq: Run) -> None:
    job, other = job_in(conn, "scheduled", queue="a"), job_in(conn, "scheduled")
    pgq("job", "run-now", "--queue", "a", "-y")
    assert (state(conn, job), state(conn, other)) == ("ready", "scheduled")


def test_a_limit_is_a_test_of_the_rest(conn: Conn, pgq: Run) -> None:
    insert(conn, 5)
    assert pgq("job", "cancel", "--all", "--limit", 2, "-y", "-o", "json").json["done"] == 2


@pytest.mark.parametrize("way", [("--limit", 2), ("--rate", 1000, "--limit", 2)])
def test_ids_can_be_done_as_an_operation_too(conn: Conn, pgq: Run, way: tuple[object]) -> None:
    jobs, other = insert(conn, 3), insert(conn)
    done = pgq("job", "cancel", *jobs, *way, "-y", "-o", "json").json
    assert (done["state"], done["done"]) == ("done", 2)
    assert states(conn, jobs) == {"cancelled", "ready"}
    assert states(conn, other) == {"ready"}


def test_the_statement_is_printed_and_nothing_is_done(conn: Conn, pgq: Run) -> None:
    insert(conn, 2, queue="it's")
    words = ("job", "cancel", "--queue", "it's", "--limit", 9, "--rate", 5, "--print-sql")
    statement = pgq(*words).out
    assert statement.startswith("select pgq.start_operation(\"p_verb\" => 'cancel'")
    assert column(conn, "select id from pgq.list_operations()") == []
    conn.execute(statement.encode())
    answer(conn, "operate")
    found = row(conn, "select verb, filter::text, rate from pgq.list_operations()")
    assert found == {"verb": "cancel", "filter": '{"queue": "it\'s"}', "rate": 5.0}


def test_one_that_is_left_to_upkeep_is_only_begun(conn: Conn, pgq: Run) -> None:
    jobs = insert(conn, 2)
    assert pgq("job", "cancel", "--all", "-y", "--detach").out.startswith("operation ")
    assert states(conn, jobs) == {"ready"}
    assert column(conn, "select state from pgq.list_operations()") == ["running"]


def test_one_that_somebody_stops_ends_with_code_1(conn: Conn, start: Start) -> None:
    insert(conn, 50)
    process = start("job", "cancel", "--all", "-y", "--rate", 1)
    while not (found := column(conn, "select id from pgq.list_operations()")):
        assert process.poll() is None
    answer(conn, "stop_operation", id=found[0])
    assert "stopped" in process.communicate(timeout=60)[0]
    assert process.returncode == 1


def test_who_leaves_is_told_that_it_goes_on(conn: Conn, start: Start) -> None:
    insert(conn, 50)
    process = start("job", "cancel", "--all", "-y", "--rate", 1)
    while not column(conn, "select done from pgq.list_operations() where done > 0"):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert "goes on without you" in said
    assert column(conn, "select state from pgq.list_operations()") == ["running"]


@pytest.mark.parametrize(("typed", "code", "becomes"), [("n", 1, "ready"), ("y", 0, "cancelled")])
def test_it_is_asked_with_their_number(
    conn: Conn, start: Start, terminal: Terminal, typed: str, code: int, becomes: str
) -> None:
    jobs = insert(conn, 3)
    process = start("job", "cancel", "--all", stdin=terminal.theirs, stderr=terminal.theirs)
    terminal.read_until("Cancel 3 jobs? [y/N]")
    assert states(conn, jobs) == {"ready"}
    os.write(terminal.ours, f"{typed}\n".encode())
    assert process.wait(60) == code
    assert states(conn, jobs) == {becomes}


def test_a_role_that_may_not_is_told(conn: Conn, pgq: Run, dsn: str) -> None:
    insert(conn)
    name = "pgq_viewer_of_bulk"
    conn.execute(f"drop role if exists {name}")
    conn.execute(f"create role {name} login in role pgq_viewer")
    try:
        said = pgq(
            "job", "cancel", "--all", "-y", code=1,
            database=psycopg.conninfo.make_conninfo(dsn, user=name),
        )  # fmt: skip
        assert "permission denied" in said.err
        assert "Traceback" not in said.err
    finally:
        conn.execute(f"drop role {name}")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["cancel"], "which? give IDs, a filter as --queue, or --all"),
        (["cancel", "1", "--queue", "a"], "IDs and filters exclude each other"),
        (["cancel", "1", "--rate", "5"], "say --yes"),
        (["cancel", "--all", "--queue", "a"], "--all and filters exclude each other"),
        (["cancel", "--all"], "say --yes"),
        (["cancel", "--all", "--rate", "0"], "0 is not in the range"),
        (["cancel", "--where", "x"], "is no PATH=VALUE"),
        (["retry", "--all", "-y", "--payload", "[1]"], "expected an object, for retry"),
        (["cancel", "--state", "dead", "-y"], "dead"),
    ],
)
def test_a_mistake_is_one_line(conn: Conn, pgq: Run, words: list[str], says: str) -> None:
    (job,) = insert(conn)
    assert says in pgq("job", *words, code=2).refusal(2)
    assert state(conn, job) == "ready"
