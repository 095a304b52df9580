from __future__ import annotations

from typing import Any

import pytest

from sql.support import Conn, call, claim, hold_all, insert, lose, refused


def register(conn: Conn, *tasks: str, queue: str = "default") -> int:
    names = ", ".join(f'"{task}": null' for task in tasks)
    (found,) = call(
        conn,
        "register_worker",
        name="w",
        queues=[queue],
        slots=10,
        info=f'{{"tasks": {{{names}}}}}',
    )
    return int(found["worker"])


def unknown(conn: Conn) -> list[tuple[Any, ...]]:
    return [tuple(each.values()) for each in call(conn, "list_unknown_tasks")]


def test_waiting_job_whose_task_nobody_knows_is_told(conn: Conn) -> None:
    register(conn, "echo")
    first, _ = insert(conn, 2, task="typo")
    insert(conn, 3, task="echo")
    assert unknown(conn) == [("default", "typo", 2, first)]


def test_declined_job_is_told(conn: Conn) -> None:
    worker = register(conn, "echo")
    (job,) = insert(conn, task="typo")
    call(conn, "decline", **hold_all(*claim(conn, worker=worker)))
    assert unknown(conn) == [("default", "typo", 1, job)]


def test_scheduled_job_waits_for_no_worker_yet(conn: Conn) -> None:
    register(conn, "echo")
    insert(conn, task="typo", run_at="2100-01-01")
    assert unknown(conn) == []


def test_worker_of_another_queue_knows_nothing_of_it(conn: Conn) -> None:
    register(conn, "echo")
    register(conn, "mail", queue="mail")
    (job,) = insert(conn, task="mail")
    assert unknown(conn) == [("default", "mail", 1, job)]


@pytest.mark.parametrize(("task", "told"), [("anything", []), ("pgq.own", ["pgq.own"])])
def test_catch_all_knows_all_but_our_own(conn: Conn, task: str, told: list[str]) -> None:
    register(conn, "*")
    insert(conn, task=task)
    assert [each[1] for each in unknown(conn)] == told


def test_queue_without_a_worker_is_left_out(conn: Conn) -> None:
    worker = register(conn, "echo")
    insert(conn, task="typo")
    assert unknown(conn)
    lose(conn, worker)
    assert unknown(conn) == []


@pytest.mark.parametrize("limit", [0, 10_001])
def test_limit_is_bounded(conn: Conn, limit: int) -> None:
    with refused("PQ005"):
        call(conn, "list_unknown_tasks", limit=limit)
