"""A few claims look for rows at a time, and nobody else ever waits for them."""

from __future__ import annotations

from contextlib import suppress

import psycopg

from races.play import Play, claimed
from sql.support import Conn, claim_one, column, in_background, insert, wait_for_lock

KEY = "hashtext(array['default']::text)"


def beside_another(conn: Conn) -> None:
    """As if this session had an open claim."""
    conn.execute(f"select pg_advisory_lock(1885827433, {KEY})")


def take(conn: Conn, count: int = 8) -> None:
    beside_another(conn)
    conn.execute(
        f"select pg_advisory_lock(1885827434, {KEY} # n) from generate_series(0, %s) n", [count - 1]
    )


def slots(conn: Conn, session: Conn) -> list[int]:
    """Those that the session has."""
    return column(
        conn,
        "select objid::bigint from pg_locks"
        " where locktype = 'advisory' and classid = 1885827434 and granted and pid = %s",
        [session.info.backend_pid],
    )


def test_claim_waits_until_another_has_looked(play: Play) -> None:
    conn, other = play.session(), play.session()
    (job,) = insert(conn)
    take(other)
    with in_background(lambda: claimed(conn)) as ended:
        wait_for_lock(other, conn)
        other.execute("select pg_advisory_unlock_all()")
        assert ended.result() == [job]
    assert slots(other, conn) == []


def test_claim_goes_on_when_who_looks_stands_still(play: Play) -> None:
    conn, other = play.session(), play.session()
    (job,) = insert(conn)
    take(other)
    conn.execute("set statement_timeout = '5s'")
    try:
        assert claimed(conn) == [job]
    except psycopg.errors.QueryCanceled:
        raise AssertionError("it waits for good") from None


def test_claim_waits_for_nobody_while_a_slot_is_free(play: Play) -> None:
    conn, blocker, other = play.session(), play.transaction(), play.session()
    insert(conn)
    blocker.execute("lock table pgq.lease_gate")
    take(other, 7)
    with in_background(lambda: claim_one(conn)):
        wait_for_lock(other, conn)
        looking = slots(other, conn)
        blocker.rollback()
    assert len(looking) == 1


def test_claim_alone_needs_no_slot(play: Play) -> None:
    conn, blocker, session = play.session(), play.transaction(), play.session()
    insert(conn)
    blocker.execute("lock table pgq.lease_gate")
    with in_background(lambda: claim_one(session)):
        wait_for_lock(conn, session)
        looking = slots(conn, session)
        blocker.rollback()
    assert looking == []


def test_open_claim_lets_others_look(play: Play) -> None:
    conn, session = play.session(), play.transaction()
    insert(conn, 2)
    beside_another(conn)
    claim_one(session)
    assert slots(conn, session) == []
    conn.execute("select pg_advisory_unlock_all()")
    claim_one(conn)


def test_claim_that_is_refused_lets_others_look(play: Play) -> None:
    conn, blocker, session = play.session(), play.transaction(), play.session()
    insert(conn)
    beside_another(conn)
    blocker.execute("lock table pgq.lease_gate")
    session.execute("set lock_timeout = '1ms'")
    try:
        claim_one(session)
    except psycopg.errors.LockNotAvailable:
        pass
    else:
        raise AssertionError("it was not refused")
    assert slots(conn, session) == []


def test_claim_that_is_cancelled_lets_others_look(play: Play) -> None:
    conn, blocker, session = play.session(), play.transaction(), play.session()
    insert(conn)
    beside_another(conn)
    blocker.execute("lock table pgq.lease_gate")
    cancelled = False

    def run() -> None:
        nonlocal cancelled
        try:
            claim_one(session)
        except psycopg.errors.QueryCanceled:
            cancelled = True

    with in_background(run):
        wait_for_lock(conn, session)
        looking = slots(conn, session)
        session.cancel_safe()
    assert cancelled
    assert len(looking) == 1
    assert slots(conn, session) == []


def test_claim_that_is_cancelled_while_it_waits_lets_others_look(play: Play) -> None:
    conn, other, session = play.session(), play.session(), play.session()
    take(other)
    session.execute("set statement_timeout = '100ms'")
    try:
        claimed(session)
    except psycopg.errors.QueryCanceled:
        pass
    else:
        raise AssertionError("it did not wait")
    assert slots(conn, session) == []


def test_session_that_dies_while_it_claims_lets_others_look(play: Play) -> None:
    conn, blocker, session = play.session(), play.transaction(), play.session()
    (job,) = insert(conn)
    beside_another(conn)
    blocker.execute("lock table pgq.lease_gate")

    def run() -> None:
        with suppress(psycopg.OperationalError):
            claim_one(session)

    with in_background(run):
        wait_for_lock(conn, session)
        conn.execute("select pg_terminate_backend(%s, 5000)", [session.info.backend_pid])
    blocker.rollback()
    assert slots(conn, session) == []
    assert claimed(conn) == [job]
