"""`pgq queue` and `pgq workers`."""

from __future__ import annotations

from datetime import timedelta

import pytest

from cli.conftest import Run
from sql.states import STATES, job_in
from sql.support import Conn, call, register, rows

QUEUES = "select q.* from pgq.queue q order by q.queue"


def test_lists_queues_with_their_jobs_by_state(conn: Conn, pgq: Run, shell: Run) -> None:
    for wanted in STATES:
        job_in(conn, wanted, queue="mail")
    register(conn, "mail")
    (queue,) = shell("queue", "list", "-o", "json").json
    assert {name: queue[name] for name in STATES} == dict.fromkeys(STATES, 1)
    assert (queue["queue"], queue["workers"], queue["paused_at"]) == ("mail", 1, None)
    heading, line = pgq("queue", "list").out.splitlines()
    assert dict(zip(heading.split(), line.split(), strict=True))["RETRYING"] == "1"
    assert len(line) <= 100


def test_pauses_and_resumes(conn: Conn, pgq: Run, shell: Run) -> None:
    assert shell("queue", "pause", "a", "b").out == "queue a paused\nqueue b paused\n"
    assert all(queue["paused_at"] for queue in rows(conn, QUEUES))
    assert pgq("queue", "pause", "a").out == "queue a was paused already\n"
    assert pgq("queue", "resume", "a", "-o", "json").json == [{"queue": "a", "did": "resumed"}]
    assert [queue["paused_at"] is None for queue in rows(conn, QUEUES)] == [True, False]
    assert pgq("queue", "resume", "a").out == "queue a was not paused\n"


def test_sets_and_resets_settings(conn: Conn, pgq: Run, shell: Run) -> None:
    shell("queue", "set", "a", "--max-attempts", 9, "--timeout", "2h", "--keep-dead", "3d")
    (queue,) = rows(conn, QUEUES)
    assert (queue["max_attempts"], queue["timeout"]) == (9, timedelta(hours=2))
    assert pgq("queue", "set", "a", "--reset", "timeout").out == "queue a changed\n"
    (queue,) = rows(conn, QUEUES)
    assert (queue["max_attempts"], queue["timeout"]) == (9, None)
    assert queue["keep_dead"] == timedelta(days=3)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["pause"], "Missing argument 'QUEUE...'"),
        (["set", "a"], "nothing to change"),
        (["set", "a", "--timeout", "1 fortnight"], "is no duration"),
        (["set", "a", "--timeout", "0"], "more than 0"),
        (["set", "a", "--reset", "colour"], "'colour' is not one of"),
        (["pause", "q" * 201], "1 to 200 characters"),
    ],
)
def test_a_mistake_is_one_line(conn: Conn, pgq: Run, words: list[str], says: str) -> None:
    assert says in pgq("queue", *words, code=2).refusal(2)
    assert rows(conn, QUEUES) == []


def test_lists_workers(conn: Conn, pgq: Run, shell: Run) -> None:
    worker = register(conn, "a", "b", slots=7, name="host.1")
    gone = register(conn, "a", name="host.2")
    call(conn, "heartbeat", worker=gone, ids=[], tokens=[], busy=0, state="offline")
    first, second = shell("workers", "-o", "json").json
    assert (first["id"], first["queues"], first["slots"]) == (worker, ["a", "b"], 7)
    assert second["state"] == "offline"
    table = pgq("workers").out.splitlines()
    assert table[1].split()[:6] == [str(worker), "host.1", "available", "a,", "b", "0/7"]


def test_drains_workers(conn: Conn, pgq: Run, shell: Run) -> None:
    one, two = register(conn), register(conn)
    drained = f"worker {one} takes no more jobs\nworker {two} takes no more jobs\n"
    assert shell("workers", "drain", one, two).out == drained
    assert [each["state"] for each in pgq("workers", "-o", "json").json] == ["draining"] * 2
    assert pgq("workers", "drain", one).out == f"worker {one} was draining already\n"
    off = pgq("workers", "drain", one, "--off", "-o", "json")
    assert off.json == [{"worker": one, "did": "resumed"}]
    assert pgq("workers", "drain", one, "--off").out == f"worker {one} was not draining\n"
    assert next(each["state"] for each in pgq("workers", "-o", "json").json) == "available"


def test_worker_that_is_not_there_is_not_drained(conn: Conn, pgq: Run) -> None:
    refusal = pgq("workers", "drain", 7, code=3).refusal(3)
    assert "no worker 7" in refusal
    assert "is not in the range" in pgq("workers", "drain", 0, code=2).refusal(2)
