"""release_executor: what a child held that died."""

from __future__ import annotations

import pytest

from sql.support import (
    Conn,
    Row,
    answer,
    attempts,
    call,
    claim,
    claim_one,
    insert,
    prolong,
    register,
    row,
    rows,
    state,
    value,
)


def give_back(conn: Conn, worker: int, executor: int, *begun: int) -> dict[int, str]:
    found = call(conn, "release_executor", worker=worker, executor=executor, begun=list(begun))
    return {each["id"]: each["state"] for each in found}


def crash(conn: Conn, worker: int) -> tuple[Row, str]:
    """The next job's process dies; the job's lease, and what becomes of it."""
    lease = claim_one(conn, worker=worker)
    return lease, give_back(conn, worker, 1, lease["id"])[lease["id"]]


@pytest.mark.parametrize("long", [False, True], ids=["short", "long"])
def test_begun_job_becomes_a_suspect(conn: Conn, long: bool) -> None:
    worker = register(conn)
    insert(conn, 3)
    begun, *prefetched = [each["id"] for each in claim(conn, worker=worker, limits=3)]
    if long:
        prolong(conn)
    assert give_back(conn, worker, 1, begun) == {
        begun: "suspect",
        prefetched[0]: "ready",
        prefetched[1]: "ready",
    }
    suspects = rows(conn, "select job_id, suspect from pgq.ready order by job_id")
    assert [each["suspect"] for each in suspects] == [True, False, False]
    assert value(conn, "select count(*) from pgq.lease") == 0


def test_first_crash_is_uncharged(conn: Conn) -> None:
    worker = register(conn)
    insert(conn)
    lease, _ = crash(conn, worker)
    (attempt,) = attempts(conn, lease["id"])
    assert (attempt["reason"], attempt["charged"]) == ("crashed", False)
    assert row(conn, "select attempt, crashes from pgq.ready") == {"attempt": 0, "crashes": 0}


def test_prefetched_job_leaves_no_attempt(conn: Conn) -> None:
    worker = register(conn)
    (job,) = insert(conn)
    claim(conn, worker=worker)
    give_back(conn, worker, 1)
    assert attempts(conn, job) == []


def test_suspect_that_crashes_again_is_charged(conn: Conn) -> None:
    worker = register(conn)
    insert(conn)
    crash(conn, worker)
    lease, _ = crash(conn, worker)
    assert lease["suspect"]
    assert attempts(conn, lease["id"])[-1]["charged"]
    assert row(conn, "select attempt, crashes from pgq.ready") == {"attempt": 0, "crashes": 1}


def test_job_is_dead_after_three_crashes_alone(conn: Conn) -> None:
    worker = register(conn)
    (job,) = insert(conn, unique_key="k")
    states = [crash(conn, worker)[1] for _ in range(4)]
    assert states == ["suspect", "suspect", "suspect", "dead"]
    dead = row(conn, "select * from pgq.dead")
    assert (dead["reason"], dead["crashes"], dead["attempt"]) == ("crashed", 3, 0)
    assert [each["charged"] for each in attempts(conn, job)] == [False, True, True, True]
    assert len(insert(conn, unique_key="k")) == 1


def test_crashes_that_a_job_may_have_are_a_setting(conn: Conn) -> None:
    call(conn, "configure", max_crashes=1)
    worker = register(conn)
    insert(conn)
    assert [crash(conn, worker)[1] for _ in range(2)] == ["suspect", "dead"]


def test_suspect_that_had_not_begun_is_not_charged(conn: Conn) -> None:
    worker = register(conn)
    insert(conn)
    lease, _ = crash(conn, worker)
    claim_one(conn, worker=worker)
    assert give_back(conn, worker, 1) == {lease["id"]: "ready"}
    assert row(conn, "select crashes, suspect from pgq.ready") == {"crashes": 0, "suspect": True}


def test_other_executors_and_workers_keep_theirs(conn: Conn) -> None:
    one, two = register(conn), register(conn)
    insert(conn, 4)
    mine = claim_one(conn, worker=one, executor=1)["id"]
    claim_one(conn, worker=one, executor=2)
    claim_one(conn, worker=two, executor=1)
    assert give_back(conn, one, 1, mine) == {mine: "suspect"}
    assert value(conn, "select count(*) from pgq.lease") == 2


def test_job_that_was_to_be_cancelled_is_cancelled(conn: Conn) -> None:
    worker = register(conn)
    (job,) = insert(conn)
    claim(conn, worker=worker)
    call(conn, "cancel", id=job)
    assert give_back(conn, worker, 1, job) == {job: "cancelled"}
    assert state(conn, job) == "cancelled"


def test_executor_that_held_nothing_gives_nothing_back(conn: Conn) -> None:
    assert give_back(conn, register(conn), 1, 7) == {}


def test_crash_costs_no_attempt(conn: Conn) -> None:
    worker = register(conn)
    insert(conn, max_attempts=1)
    crash(conn, worker)
    assert claim_one(conn, worker=worker)["attempt"] == 1


def test_giving_back_twice_charges_once(conn: Conn) -> None:
    worker = register(conn)
    insert(conn)
    crash(conn, worker)
    lease, _ = crash(conn, worker)
    assert give_back(conn, worker, 1, lease["id"]) == {}
    assert value(conn, "select crashes from pgq.ready") == 1


def test_suspects_wait_in_a_lane_of_their_own(conn: Conn) -> None:
    worker = register(conn)
    insert(conn, priority=3)
    crash(conn, worker)
    assert rows(conn, "select queue, priority from pgq.lane where suspect") == [
        {"queue": "default", "priority": 3}
    ]
    (heard,) = call(conn, "heartbeat", worker=worker, ids=[], tokens=[])
    assert heard["suspects"]
    answer(conn, "pause", queue="default")
    (heard,) = call(conn, "heartbeat", worker=worker, ids=[], tokens=[])
    assert not heard["suspects"]
