"""heartbeat: what keeps a worker's leases, and what it hears."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from sql.support import (
    Conn,
    Row,
    answer,
    attempts,
    call,
    claim,
    claim_one,
    connect,
    hold,
    hold_all,
    insert,
    lose,
    move_clock,
    prolong,
    refused,
    register,
    row,
    running,
    state,
    value,
)


def beat(conn: Conn, worker: int, *leases: Row, **arguments: Any) -> Row:
    (heard,) = call(conn, "heartbeat", worker=worker, **hold_all(*leases), **arguments)
    return heard


def test_heartbeat_keeps_the_worker_for_another_lease(conn: Conn) -> None:
    worker = register(conn)
    for _ in range(5):
        move_clock(conn, "14 seconds")
        assert beat(conn, worker) == {
            "cancelled": [],
            "lost": [],
            "suspects": False,
            "drain": False,
        }
        left = value(conn, "select expires_at - pgq._clock() from pgq.worker")
        assert left == timedelta(seconds=15)


def test_expired_worker_is_told(conn: Conn) -> None:
    worker = register(conn)
    move_clock(conn, "15 seconds")
    with refused("PQ008") as said:
        beat(conn, worker)
    assert f"worker {worker}" in said.message
    assert said.hint


def test_expiry_is_final(conn: Conn) -> None:
    worker = register(conn)
    lose(conn, worker)
    conn.execute("update pgq.worker set expires_at = expires_at + interval '1 hour'")
    with refused("PQ008"):
        beat(conn, worker)
    assert value(conn, "select state from pgq.worker") == "offline"


def test_unknown_worker_is_refused(conn: Conn) -> None:
    with refused("PQ008"):
        beat(conn, 7)


def test_worker_with_the_id_of_another_is_refused(conn: Conn) -> None:
    worker = value(
        conn,
        "select worker from pgq.register_worker('w', '{default}', 1, p_token => %s)",
        [UUID(int=1)],
    )
    beat(conn, worker, token=UUID(int=1))

    with refused("PQ008"):
        beat(conn, worker, token=UUID(int=2))


def test_worker_says_how_busy_it_is(conn: Conn) -> None:
    worker = register(conn)
    before = value(conn, "select heartbeat_at from pgq.worker")
    beat(conn, worker, busy=3, state="draining")
    said = row(conn, "select busy, state, heartbeat_at > %s as later from pgq.worker", [before])
    assert said == {"busy": 3, "state": "draining", "later": True}


def test_offline_unregisters(conn: Conn) -> None:
    worker = register(conn)
    beat(conn, worker, state="offline")
    with refused("PQ008"):
        beat(conn, worker)
    with refused("PQ008"):
        claim(conn, worker=worker)


def test_long_lease_that_is_not_in_hand_goes_back_uncharged(conn: Conn) -> None:
    """A claim whose answer was lost."""
    worker = register(conn)
    unheard = running(conn, worker=worker)
    in_hand = running(conn, worker=worker)
    prolong(conn)
    beat(conn, worker, in_hand)
    assert state(conn, unheard["id"]) == "ready"
    assert state(conn, in_hand["id"]) == "running"
    back = row(conn, "select attempt, crashes, suspect from pgq.ready")
    assert back == {"attempt": 0, "crashes": 0, "suspect": False}
    assert attempts(conn, unheard["id"]) == []


def test_short_lease_that_is_not_in_hand_stays(conn: Conn) -> None:
    """Its claim's answer may be on the way."""
    worker = register(conn)
    lease = running(conn, worker=worker)
    answer(conn, "reap")
    beat(conn, worker)
    assert state(conn, lease["id"]) == "running"


def test_overtaken_heartbeat_changes_nothing(conn: Conn) -> None:
    worker = register(conn)
    beat(conn, worker, beat=2)
    lease = running(conn, worker=worker)
    prolong(conn)
    for number in (1, 2):
        overtaken = call(
            conn, "heartbeat", worker=worker, ids=[], tokens=[], state="offline", beat=number
        )
        assert overtaken == []
    assert state(conn, lease["id"]) == "running"
    beat(conn, worker, beat=3)
    assert state(conn, lease["id"]) == "ready"


def test_overtaken_heartbeat_of_an_expired_worker_is_refused(conn: Conn) -> None:
    worker = register(conn)
    beat(conn, worker, beat=2)
    move_clock(conn, "15 seconds")
    with refused("PQ008"):
        beat(conn, worker, beat=1)


def test_long_lease_of_a_claim_under_way_stays(conn: Conn) -> None:
    """Its answer is there, and the process that is to read it is busy."""
    worker = register(conn)
    unread, lost = running(conn, worker=worker), running(conn, worker=worker)
    prolong(conn)
    beat(conn, worker, claims=[unread["token"], None])
    assert state(conn, unread["id"]) == "running"
    assert state(conn, lost["id"]) == "ready"
    beat(conn, worker, claims=None)
    assert state(conn, unread["id"]) == "ready"


def test_lease_is_in_hand_only_with_its_token(conn: Conn) -> None:
    worker = register(conn)
    old = running(conn, worker=worker)
    call(conn, "release", **hold_all(old))
    claim_one(conn, worker=worker)
    prolong(conn)
    heard = beat(conn, worker, old)
    assert heard["lost"] == [old["id"]]
    assert state(conn, old["id"]) == "ready"


def test_lease_in_hand_stays_though_an_earlier_one_of_its_job_was_long(conn: Conn) -> None:
    worker = register(conn)
    old = running(conn, worker=worker)
    prolong(conn)
    call(conn, "release", **hold_all(old))
    lease = claim_one(conn, worker=worker)
    prolong(conn)
    heard = beat(conn, worker, lease)
    assert heard["lost"] == []
    assert state(conn, lease["id"]) == "running"
    beat(conn, worker)
    assert state(conn, lease["id"]) == "ready"


def test_other_workers_keep_their_long_leases(conn: Conn) -> None:
    one, two = register(conn), register(conn)
    lease = running(conn, worker=two)
    alone = running(conn)
    prolong(conn)
    beat(conn, one)
    assert [state(conn, each["id"]) for each in (lease, alone)] == ["running", "running"]


def test_lease_that_is_being_completed_is_left_alone(conn: Conn, dsn: str) -> None:
    worker = register(conn)
    lease = running(conn, worker=worker)
    prolong(conn)
    conn.execute("set lock_timeout = '1ms'")
    with connect(dsn, autocommit=False) as user:
        call(user, "complete", **hold(lease))
        beat(conn, worker)
        user.commit()
    assert state(conn, lease["id"]) == "succeeded"


def test_worker_hears_of_cancellations(conn: Conn) -> None:
    worker = register(conn)
    one, two = running(conn, worker=worker), running(conn, worker=worker)
    call(conn, "cancel", id=two["id"])
    assert beat(conn, worker, one, two)["cancelled"] == [two["id"]]
    assert beat(conn, worker, one, two)["cancelled"] == [two["id"]]
    call(conn, "cancel", **hold(two))
    assert beat(conn, worker, one)["cancelled"] == []


def test_cancellation_is_of_the_lease_that_it_found(conn: Conn) -> None:
    worker = register(conn)
    lease = running(conn, worker=worker)
    call(conn, "cancel", id=lease["id"])
    conn.execute("update pgq.lease set token = gen_random_uuid()")
    later = lease | {"token": value(conn, "select token from pgq.lease")}
    assert beat(conn, worker, later)["cancelled"] == []


def test_worker_hears_what_it_lost(conn: Conn) -> None:
    worker = register(conn)
    lost, kept = running(conn, worker=worker), running(conn, worker=worker)
    call(conn, "release", **hold_all(lost))
    assert beat(conn, worker, lost, kept)["lost"] == [lost["id"]]


def test_worker_hears_whether_suspects_wait_in_its_queues(conn: Conn) -> None:
    lost, mine, other = register(conn, "a"), register(conn, "a", "b"), register(conn, "b")
    running(conn, worker=lost, queue="a")
    assert not beat(conn, mine)["suspects"]
    lose(conn, lost)
    assert beat(conn, mine)["suspects"]
    assert not beat(conn, other)["suspects"]
    claim(conn, queues=["a"], suspects=True)
    assert not beat(conn, mine)["suspects"]


def test_suspects_of_a_paused_queue_are_not_told(conn: Conn) -> None:
    lost, mine = register(conn), register(conn)
    running(conn, worker=lost)
    lose(conn, lost)
    answer(conn, "pause", queue="default")
    assert not beat(conn, mine)["suspects"]


def test_heartbeat_of_5_000_jobs(conn: Conn) -> None:
    worker = register(conn)
    insert(conn, 5_000)
    leases = claim(conn, worker=worker, limits=5_000)
    prolong(conn)
    assert beat(conn, worker, *leases) == {
        "cancelled": [],
        "lost": [],
        "suspects": False,
        "drain": False,
    }
    assert value(conn, "select count(*) from pgq.lease") == 5_000


def test_many_unheard_leases_go_back_in_slices(conn: Conn) -> None:
    worker = register(conn)
    insert(conn, 1_500)
    claim(conn, worker=worker, limits=1_500)
    prolong(conn)
    beat(conn, worker)
    assert value(conn, "select count(*) from pgq.ready") == 1_000
    beat(conn, worker)
    assert value(conn, "select count(*) from pgq.ready") == 1_500


@pytest.mark.parametrize(
    "arguments", [{"state": "asleep"}, {"state": None}, {"busy": None}], ids=str
)
def test_bad_argument_is_refused(conn: Conn, arguments: dict[str, Any]) -> None:
    worker = register(conn)
    with refused("PQ005") as said:
        beat(conn, worker, **arguments)
    assert said.detail
