from __future__ import annotations

from typing import Any

import pytest

from sql.states import STATES, job_in
from sql.support import Conn, call, refused


def listed(conn: Conn, **arguments: Any) -> list[int]:
    return [each["id"] for each in call(conn, "list_dead", **arguments)]


def test_only_dead_letters_newest_first(conn: Conn) -> None:
    jobs = [job_in(conn, "dead") for _ in range(3)]
    for other in STATES:
        if other != "dead":
            job_in(conn, other, queue=other)
    assert listed(conn) == jobs[::-1]


def test_why_it_died_is_told(conn: Conn) -> None:
    job = job_in(conn, "dead", task="send", queue="mail")
    (found,) = call(conn, "list_dead")
    assert (found["id"], found["task"], found["queue"]) == (job, "send", "mail")
    assert (found["reason"], found["error_class"], found["message"]) == ("error", "Boom", "no")
    assert (found["attempt"], found["crashes"]) == (1, 0)


@pytest.mark.parametrize("condition", ["queue", "task", "fingerprint"])
def test_only_those_that_meet_the_condition(conn: Conn, condition: str) -> None:
    wanted = job_in(conn, "dead", queue="mail", task="send")
    (found,) = call(conn, "list_dead")
    job_in(conn, "dead")
    assert listed(conn, **{condition: found[condition]}) == [wanted]


def test_only_those_of_these_queues(conn: Conn) -> None:
    jobs = {queue: job_in(conn, "dead", queue=queue) for queue in ("a", "b", "c")}
    assert listed(conn, queues=["a", "c"]) == [jobs["c"], jobs["a"]]
    assert listed(conn, queues=["a", "c"], queue="b") == []
    assert listed(conn, queues=[], limit=1) == []
    assert listed(conn, queues=["a"], limit=1) == [jobs["a"]]


def test_same_errors_of_a_task_have_one_fingerprint(conn: Conn) -> None:
    for task in ("a", "a", "b"):
        job_in(conn, "dead", task=task)
    prints = [each["fingerprint"] for each in call(conn, "list_dead")]
    assert prints[1] == prints[2] != prints[0]


def test_pages_go_on_below_an_id(conn: Conn) -> None:
    jobs = [job_in(conn, "dead") for _ in range(3)][::-1]
    assert listed(conn, limit=2) == jobs[:2]
    assert listed(conn, limit=2, before=jobs[1]) == jobs[2:]


def test_bad_limit_is_refused(conn: Conn) -> None:
    with refused("PQ005"):
        listed(conn, limit=0)
