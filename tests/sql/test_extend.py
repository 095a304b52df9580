"""extend: leases that carry their own expiry."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sql.support import (
    Conn,
    answer,
    claim_one,
    hold,
    insert,
    move_clock,
    refused,
    register,
    running,
    state,
    value,
)


def test_extended_lease_lasts_from_now(conn: Conn) -> None:
    lease = running(conn)
    move_clock(conn, "10 seconds")
    clock = value(conn, "select pgq._clock()")
    expires = answer(conn, "extend", **hold(lease), lease="1 minute")
    assert expires == clock + timedelta(minutes=1)
    assert value(conn, "select expires_at from pgq.lease") == expires


def test_lease_is_the_services_by_default(conn: Conn) -> None:
    lease = running(conn)
    clock = value(conn, "select pgq._clock()")
    assert answer(conn, "extend", **hold(lease)) == clock + timedelta(seconds=15)


def test_extended_lease_outlives_its_first_expiry(conn: Conn) -> None:
    lease = running(conn)
    for _ in range(4):
        move_clock(conn, "14 seconds")
        answer(conn, "reap")
        assert state(conn, lease["id"]) == "running"
        answer(conn, "extend", **hold(lease))
    move_clock(conn, "16 seconds")
    answer(conn, "reap")
    assert state(conn, lease["id"]) == "ready"


def test_lease_may_be_shortened(conn: Conn) -> None:
    lease = running(conn)
    answer(conn, "extend", **hold(lease), lease="1 second")
    move_clock(conn, "2 seconds")
    answer(conn, "reap")
    assert state(conn, lease["id"]) == "ready"


def test_lease_that_ran_out_is_lost_though_nobody_took_it_yet(conn: Conn) -> None:
    lease = running(conn)
    move_clock(conn, "15 seconds")
    with refused("PQ001"):
        answer(conn, "extend", **hold(lease))


def test_lease_that_a_heartbeat_holds_cannot_be_extended(conn: Conn) -> None:
    lease = running(conn, worker=register(conn))
    with refused("PQ003") as said:
        answer(conn, "extend", **hold(lease))
    assert str(lease["id"]) in said.message
    assert said.hint


def test_worker_with_a_heartbeat_may_extend_a_lease_of_its_own_expiry(conn: Conn) -> None:
    worker = register(conn)
    insert(conn)
    lease = claim_one(conn, worker=worker, lease="1 minute")
    answer(conn, "extend", **hold(lease), lease="1 hour")


@pytest.mark.parametrize("lease", ["0", "-1 second"])
def test_lease_of_nothing_is_refused(conn: Conn, lease: str) -> None:
    held = running(conn)
    with refused("PQ005") as said:
        answer(conn, "extend", **hold(held), lease=lease)
    assert said.detail
    assert said.hint
    assert value(conn, "select expires_at from pgq.lease") == held["expires_at"]
