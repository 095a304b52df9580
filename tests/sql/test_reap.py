"""reap: the lease clock, lost workers, and leases that ran out."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sql.support import (
    Conn,
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
    register,
    row,
    running,
    state,
    upkeep_goes_on,
    value,
)

# The lease clock ------------------------------------------------------------------------------


def clock_step(conn: Conn, since_last_tick: str) -> timedelta:
    """How far the clock goes when the last tick was so long ago."""
    conn.execute(
        "insert into pgq.lease_clock (at, clock)"
        " select clock_timestamp() - %s::interval, pgq._clock()",
        [since_last_tick],
    )
    before = value(conn, "select pgq._clock()")
    answer(conn, "reap")
    step = value(conn, "select pgq._clock()") - before
    assert isinstance(step, timedelta)
    return step


def test_clock_goes_on_by_the_time_since_the_last_round(conn: Conn) -> None:
    step = clock_step(conn, "1 second")
    assert timedelta(seconds=1) <= step <= timedelta(seconds=2)


@pytest.mark.parametrize("outage", ["3 seconds", "10 minutes", "5 days"])
def test_clock_goes_on_by_2_seconds_at_most(conn: Conn, outage: str) -> None:
    assert clock_step(conn, outage) == timedelta(seconds=2)


@pytest.mark.parametrize("back", ["-10 seconds", "-5 minutes"])
def test_clock_does_not_go_back(conn: Conn, back: str) -> None:
    assert clock_step(conn, back) == timedelta(0)


def test_outage_expires_nobody(conn: Conn) -> None:
    worker = register(conn)
    lease = running(conn, worker=worker)
    alone = running(conn)
    prolong(conn)
    clock_step(conn, "1 hour")
    assert value(conn, "select state from pgq.worker where id = %s", [worker]) == "available"
    assert [state(conn, each["id"]) for each in (lease, alone)] == ["running", "running"]


# Lost workers ---------------------------------------------------------------------------------


def test_lost_workers_job_is_ready_again_as_a_suspect(conn: Conn) -> None:
    worker = register(conn)
    lease = running(conn, worker=worker, unique_key="k")
    assert lose(conn, worker) == 1
    assert row(conn, "select attempt, crashes, suspect, has_key from pgq.ready") == {
        "attempt": 0,
        "crashes": 0,
        "suspect": True,
        "has_key": True,
    }
    (attempt,) = attempts(conn, lease["id"])
    assert (attempt["reason"], attempt["charged"]) == ("lost", False)
    assert value(conn, "select state from pgq.worker") == "offline"


def test_suspect_that_is_lost_again_is_charged(conn: Conn) -> None:
    (job,) = insert(conn)
    for _ in range(2):
        worker = register(conn)
        assert claim_one(conn, worker=worker)["id"] == job
        lose(conn, worker)
    assert row(conn, "select attempt, crashes from pgq.ready") == {"attempt": 0, "crashes": 1}
    assert [each["charged"] for each in attempts(conn, job)] == [False, True]


def test_suspect_that_is_lost_three_times_is_dead(conn: Conn) -> None:
    (job,) = insert(conn, max_attempts=1)
    for _ in range(4):
        worker = register(conn)
        claim_one(conn, worker=worker)
        lose(conn, worker)
    assert state(conn, job) == "dead"
    assert row(conn, "select reason, crashes, attempt from pgq.dead") == {
        "reason": "crashed",
        "crashes": 3,
        "attempt": 0,
    }


def test_reap_after_a_gap_charges_nobody(conn: Conn) -> None:
    call(conn, "configure", max_crashes=100)
    (job,) = insert(conn)
    for _ in range(6):
        worker = register(conn)
        claim_one(conn, worker=worker)
        prolong(conn)
        conn.execute("update pgq.worker set expires_at = pgq._clock()")
        clock_step(conn, "10 seconds")
    assert row(conn, "select crashes, suspect from pgq.ready") == {"crashes": 0, "suspect": True}
    assert not any(each["charged"] for each in attempts(conn, job))


def test_worker_that_sends_heartbeats_keeps_its_jobs(conn: Conn) -> None:
    worker = register(conn)
    lease = running(conn, worker=worker)
    prolong(conn)
    for _ in range(10):
        move_clock(conn, "14 seconds")
        call(conn, "heartbeat", worker=worker, **hold_all(lease))
        answer(conn, "reap")
    assert state(conn, lease["id"]) == "running"


def test_worker_is_lost_one_lease_after_its_last_heartbeat(conn: Conn) -> None:
    worker = register(conn)
    lease = running(conn, worker=worker)
    prolong(conn)
    call(conn, "heartbeat", worker=worker, **hold_all(lease))
    move_clock(conn, "14 seconds")
    answer(conn, "reap")
    assert state(conn, lease["id"]) == "running"
    move_clock(conn, "1 second")
    answer(conn, "reap")
    assert state(conn, lease["id"]) == "ready"


def test_lease_that_was_short_when_its_worker_was_lost_comes_back(conn: Conn) -> None:
    worker = register(conn)
    lease = running(conn, worker=worker)
    conn.execute("update pgq.worker set expires_at = pgq._clock()")
    upkeep_goes_on(conn)
    answer(conn, "reap")
    assert value(conn, "select state from pgq.worker") == "offline"
    prolong(conn)
    assert state(conn, lease["id"]) == "ready"


def test_jobs_of_an_unregistered_worker_come_back(conn: Conn) -> None:
    worker = register(conn)
    lease = running(conn, worker=worker)
    call(conn, "heartbeat", worker=worker, **hold_all(lease), state="offline")
    prolong(conn)
    assert state(conn, lease["id"]) == "ready"


def test_every_job_of_a_lost_worker_comes_back(conn: Conn) -> None:
    worker = register(conn)
    insert(conn, 2_500)
    claim(conn, worker=worker, limits=2_500)
    taken = lose(conn, worker)
    assert taken == 1_000
    while answered := answer(conn, "reap"):
        taken += answered
    assert taken == 2_500
    assert value(conn, "select count(*) from pgq.ready where suspect") == 2_500


def test_other_workers_keep_their_jobs(conn: Conn) -> None:
    lost, kept = register(conn), register(conn)
    running(conn, worker=lost)
    lease = running(conn, worker=kept)
    assert lose(conn, lost) == 1
    assert state(conn, lease["id"]) == "running"


def test_job_of_a_lost_worker_that_was_to_be_cancelled_is_cancelled(conn: Conn) -> None:
    worker = register(conn)
    lease = running(conn, worker=worker, unique_key="k")
    call(conn, "cancel", id=lease["id"])
    lose(conn, worker)
    assert state(conn, lease["id"]) == "cancelled"
    assert len(insert(conn, unique_key="k")) == 1


def test_job_that_ended_meanwhile_stays_ended(conn: Conn) -> None:
    worker = register(conn)
    lease = running(conn, worker=worker)
    prolong(conn)
    call(conn, "complete", **hold(lease))
    lose(conn, worker)
    assert state(conn, lease["id"]) == "succeeded"
    assert value(conn, "select count(*) from pgq.long_lease") == 0


def test_lease_of_a_claim_that_stayed_open_for_long_is_not_overlooked(conn: Conn, dsn: str) -> None:
    """Its rows appear below where the search for long leases has come."""
    worker = register(conn)
    insert(conn, 2)
    with connect(dsn, autocommit=False) as slow:
        late = claim_one(slow, worker=worker)
        claim_one(conn, worker=worker)
        prolong(conn)
        prolong(conn)
        assert value(conn, "select count(*) from pgq.straggler where stream = 'lease'") == 1
        assert value(conn, "select count(distinct job_id) from pgq.long_lease") == 1
        slow.commit()
    prolong(conn)
    assert value(conn, "select count(distinct job_id) from pgq.long_lease") == 2
    lose(conn, worker)
    assert state(conn, late["id"]) == "ready"


def test_lost_workers_are_counted(conn: Conn) -> None:
    worker = register(conn)
    running(conn, worker=worker)
    lose(conn, worker)
    answer(conn, "fold")
    counted = conn.execute("select metric, n from pgq.counter where label = 'expired'")
    assert dict(counted.fetchall()) == {"worker": 1, "lease": 1}


# Leases with their own expiry -----------------------------------------------------------------


def test_lease_that_ran_out_makes_its_job_a_suspect(conn: Conn) -> None:
    lease = running(conn)
    move_clock(conn, "14 seconds")
    answer(conn, "reap")
    assert state(conn, lease["id"]) == "running"
    move_clock(conn, "1 second")
    assert answer(conn, "reap") == 1
    assert state(conn, lease["id"]) == "ready"
    assert row(conn, "select crashes, suspect from pgq.ready") == {"crashes": 0, "suspect": True}


def test_suspect_whose_lease_ran_out_is_charged(conn: Conn) -> None:
    insert(conn)
    for _ in range(2):
        claim_one(conn)
        move_clock(conn, "15 seconds")
        answer(conn, "reap")
    assert value(conn, "select crashes from pgq.ready") == 1


def test_long_lease_of_its_own_expiry_outlives_a_lost_worker(conn: Conn) -> None:
    worker = register(conn)
    insert(conn)
    lease = claim_one(conn, worker=worker, lease="1 hour")
    assert lose(conn, worker) == 0
    assert state(conn, lease["id"]) == "running"
    move_clock(conn, "1 hour")
    answer(conn, "reap")
    assert state(conn, lease["id"]) == "ready"


def test_lease_that_is_being_completed_is_skipped(conn: Conn, dsn: str) -> None:
    lease = running(conn)
    move_clock(conn, "15 seconds")
    conn.execute("set lock_timeout = '1ms'")
    with connect(dsn, autocommit=False) as user:
        call(user, "complete", **hold(lease))
        assert answer(conn, "reap") == 0
        user.commit()
    assert state(conn, lease["id"]) == "succeeded"


def test_no_more_than_the_limit_at_once(conn: Conn) -> None:
    insert(conn, 10)
    claim(conn, limits=10)
    move_clock(conn, "15 seconds")
    assert [call(conn, "reap", limit=4)[0]["reap"] for _ in range(4)] == [4, 4, 2, 0]


def test_day_long_job_is_looked_at_only_now_and_then(conn: Conn) -> None:
    worker = register(conn)
    running(conn, worker=worker)
    prolong(conn)
    again = value(conn, "select check_at - pgq._clock() from pgq.long_lease")
    assert again > timedelta(seconds=50)
    floor = value(conn, "select pgq._lease_floor() > max(seq) from pgq.lease")
    assert floor
