from __future__ import annotations

from typing import Any

import pytest

from sql.states import assert_counters_are_right, job_in, others
from sql.support import Conn, answer, call, claim_one, connect, hold, insert, refused, state, value

TABLES = ("job", "dead", "attempt", "log")


def kept(conn: Conn, job: int) -> list[str]:
    return [
        table
        for table in TABLES
        if value(
            conn,
            f"select count(*) from pgq.{table} where {'id' if table == 'job' else 'job_id'} = %s",
            [job],
        )
    ]


def test_nothing_is_left_of_a_purged_job(conn: Conn) -> None:
    (job,) = insert(conn)
    lease = claim_one(conn)
    answer(conn, "log", **hold(lease), message="hello")
    call(conn, "fail", **hold(lease), permanent=True)
    assert kept(conn, job) == list(TABLES)
    assert answer(conn, "purge", ids=[job]) == 1
    assert kept(conn, job) == []
    assert_counters_are_right(conn)


@pytest.mark.parametrize("wrong", others("dead"))
def test_only_dead_letters_are_purged(conn: Conn, wrong: str) -> None:
    job = job_in(conn, wrong)
    assert answer(conn, "purge", ids=[job]) == 0
    assert answer(conn, "purge", older_than="0") == 0
    assert state(conn, job) == wrong


@pytest.mark.parametrize(
    "condition", [{"queue": "mail"}, {"task": "send"}, {"older_than": "1 hour"}]
)
def test_only_those_that_meet_the_condition(conn: Conn, condition: dict[str, Any]) -> None:
    wanted = job_in(conn, "dead", queue="mail", task="send")
    other = job_in(conn, "dead")
    conn.execute(
        "update pgq.dead set died_at = died_at - interval '2 hours' where job_id = %s", [wanted]
    )
    assert answer(conn, "purge", **condition) == 1
    assert (state(conn, wanted), state(conn, other)) == (None, "dead")


def test_all_conditions_hold_together(conn: Conn) -> None:
    job = job_in(conn, "dead", queue="mail")
    assert answer(conn, "purge", ids=[job], queue="other") == 0
    assert answer(conn, "purge", ids=[job], queue="mail") == 1


def test_no_condition_is_refused(conn: Conn) -> None:
    job = job_in(conn, "dead")
    with refused("PQ005"):
        call(conn, "purge")
    assert state(conn, job) == "dead"


def test_oldest_go_first(conn: Conn) -> None:
    one, two = (job_in(conn, "dead") for _ in range(2))
    conn.execute(
        "update pgq.dead set died_at = died_at - interval '1 day' where job_id = %s", [two]
    )
    assert answer(conn, "purge", older_than="0", limit=1) == 1
    assert (state(conn, one), state(conn, two)) == ("dead", None)


def test_job_that_is_being_retried_is_left_alone(conn: Conn, dsn: str) -> None:
    job = job_in(conn, "dead")
    with connect(dsn, autocommit=False) as other:
        answer(other, "retry", id=job)
        conn.execute("set lock_timeout = '1ms'")
        assert answer(conn, "purge", ids=[job]) == 0
        other.commit()
    assert state(conn, job) == "ready"
