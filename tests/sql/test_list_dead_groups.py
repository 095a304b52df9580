from __future__ import annotations

from typing import Any

import pytest

from sql.states import job_in
from sql.support import Conn, call, claim_one, hold, insert, refused, row, state


def dead(conn: Conn, message: str = "no", **columns: Any) -> int:
    """Id of a new dead letter."""
    (job,) = insert(conn, **columns)
    lease = claim_one(conn, queues=[columns.get("queue", "default")])
    call(conn, "fail", **hold(lease), error_class="Boom", message=message, permanent=True)
    assert state(conn, job) == "dead"
    return job


def age(conn: Conn, job: int, interval: str) -> None:
    conn.execute(
        "update pgq.dead set died_at = died_at - %s::interval where job_id = %s", [interval, job]
    )


def test_letters_that_differ_in_digits_are_one_group(conn: Conn) -> None:
    first, second = dead(conn, "row 1", queue="a"), dead(conn, "row 22", queue="b")
    other = dead(conn, "gone", queue="a")
    age(conn, first, "2 hours")
    age(conn, second, "1 hour")
    one, two = call(conn, "list_dead_groups")
    assert (one["last_id"], one["n"], one["message"], one["queues"]) == (other, 1, "gone", ["a"])
    assert (two["last_id"], two["n"], two["message"]) == (second, 2, "row 22")
    assert (two["reason"], two["error_class"]) == ("error", "Boom")
    assert (two["tasks"], two["queues"]) == (["echo"], ["a", "b"])
    times = row(
        conn,
        "select min(died_at) as a, max(died_at) as b from pgq.dead where job_id <> %s",
        [other],
    )
    assert (two["first_at"], two["last_at"]) == (times["a"], times["b"])
    listed = call(conn, "list_dead", fingerprint=two["fingerprint"])
    assert [each["id"] for each in listed] == [second, first]


def test_last_seen_come_first_up_to_the_limit(conn: Conn) -> None:
    jobs = [dead(conn, word) for word in ("a", "b", "c")]
    age(conn, jobs[2], "1 hour")
    order = [each["last_id"] for each in call(conn, "list_dead_groups", limit=2)]
    assert order == [jobs[1], jobs[0]]


@pytest.mark.parametrize(
    ("condition", "n", "queues"),
    [
        ({"queue": "mail"}, 2, ["mail"]),
        ({"task": "send"}, 3, ["mail", "other"]),
        ({"queues": ["mail", "none"]}, 2, ["mail"]),
        ({"queue": "mail", "queues": ["other"]}, 0, []),
        ({"queue": "none"}, 0, []),
        ({"queue": "mail", "task": "echo"}, 0, []),
    ],
)
def test_only_those_that_meet_the_condition(
    conn: Conn, condition: dict[str, Any], n: int, queues: list[str]
) -> None:
    for queue in ("mail", "mail", "other"):
        dead(conn, queue=queue, task="send")
    dead(conn, queue="third")
    groups = call(conn, "list_dead_groups", **condition)
    assert [(each["n"], each["queues"]) for each in groups] == ([(n, queues)] if n else [])


def test_other_states_make_no_group(conn: Conn) -> None:
    job_in(conn, "retrying")
    assert call(conn, "list_dead_groups") == []


@pytest.mark.parametrize("limit", [0, 10001, None])
def test_bad_limit_is_refused(conn: Conn, limit: int | None) -> None:
    with refused("PQ005"):
        call(conn, "list_dead_groups", limit=limit)
