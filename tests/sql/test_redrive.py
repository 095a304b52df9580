from __future__ import annotations

import pytest

from sql.states import assert_counters_are_right, crashed, holder, job_in, seq
from sql.support import Conn, answer, call, claim_one, connect, hold, insert, refused, state, value


def fingerprint(conn: Conn, job: int) -> str:
    return str(value(conn, "select d.fingerprint from pgq.dead d where d.job_id = %s", [job]))


def test_dead_letters_are_ready_again_oldest_first(conn: Conn) -> None:
    one, two, three = (job_in(conn, "dead") for _ in range(3))
    conn.execute(
        "update pgq.dead set died_at = died_at - interval '1 day' where job_id = %s", [two]
    )
    assert answer(conn, "redrive", limit=2) == 2
    assert state(conn, three) == "dead"
    assert seq(conn, two) < seq(conn, one)
    assert answer(conn, "redrive") == 1
    assert answer(conn, "redrive") == 0
    assert_counters_are_right(conn)


@pytest.mark.parametrize("condition", ["queue", "task", "fingerprint"])
def test_only_those_that_meet_the_condition(conn: Conn, condition: str) -> None:
    wanted = job_in(conn, "dead", queue="mail", task="send")
    other = job_in(conn, "dead")
    conditions = {"queue": "mail", "task": "send", "fingerprint": fingerprint(conn, wanted)}
    assert answer(conn, "redrive", **{condition: conditions[condition]}) == 1
    assert (state(conn, wanted), state(conn, other)) == ("ready", "dead")


def test_those_whose_key_is_taken_do_not_keep_the_others_back(conn: Conn) -> None:
    taken = job_in(conn, "dead", unique_key="k")
    free = job_in(conn, "dead")
    (rival,) = insert(conn, unique_key="k")
    assert answer(conn, "redrive", limit=1) == 1
    assert (state(conn, taken), state(conn, free)) == ("dead", "ready")
    assert holder(conn, "k") == rival


def test_of_two_that_want_one_key_the_older_gets_it(conn: Conn) -> None:
    older, younger = (job_in(conn, "dead", unique_key="k") for _ in range(2))
    assert answer(conn, "redrive") == 1
    assert (state(conn, older), state(conn, younger)) == ("ready", "dead")
    assert holder(conn, "k") == older


def test_key_that_a_producer_is_at_is_skipped_soon(conn: Conn, dsn: str) -> None:
    keyed = job_in(conn, "dead", unique_key="k")
    free = job_in(conn, "dead")
    with connect(dsn, autocommit=False) as producer:
        insert(producer, unique_key="k")
        assert answer(conn, "redrive") == 1
    assert (state(conn, keyed), state(conn, free)) == ("dead", "ready")


def test_those_that_somebody_is_moving_are_skipped(conn: Conn, dsn: str) -> None:
    moved, free = (job_in(conn, "dead") for _ in range(2))
    with connect(dsn, autocommit=False) as other:
        answer(other, "retry", id=moved)
        conn.execute("set lock_timeout = '1ms'")
        assert answer(conn, "redrive") == 1
        other.rollback()
    assert (state(conn, moved), state(conn, free)) == ("dead", "ready")


def test_crashed_ones_come_as_suspects(conn: Conn) -> None:
    job = crashed(conn)
    plain = job_in(conn, "dead")
    assert answer(conn, "redrive") == 2
    first = claim_one(conn)
    assert (first["id"], first["suspect"], first["attempt"]) == (job, True, 1)
    assert claim_one(conn)["id"] == plain


def test_redriven_job_runs_to_its_end(conn: Conn) -> None:
    job = job_in(conn, "dead", unique_key="k")
    answer(conn, "redrive")
    answer(conn, "complete", **hold(claim_one(conn)))
    assert state(conn, job) == "succeeded"
    assert holder(conn, "k") is None


@pytest.mark.parametrize("limit", [0, -1, None])
def test_bad_limit_is_refused(conn: Conn, limit: int | None) -> None:
    with refused("PQ005"):
        call(conn, "redrive", limit=limit)
