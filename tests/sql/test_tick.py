"""tick, and what all verbs of upkeep have in common."""

from __future__ import annotations

import psycopg
import pytest

from sql.support import (
    Conn,
    answer,
    call,
    claim,
    claim_one,
    column,
    connect,
    day_of_ids,
    days,
    hold,
    hold_all,
    in_background,
    insert,
    move_clock,
    prolong,
    register,
    repeat_sweep,
    row,
    running,
    state,
    value,
    wait_until,
)

VERBS = [
    "promote",
    "reap",
    "settle",
    "fold",
    "sample",
    "partition",
    "prune",
    "audit_state",
    "operate",
]

# The function that does a verb's work under its lock.
WORK = {
    "promote": "_promote(p_limit integer) returns bigint",
    "reap": "_reap(p_limit integer) returns bigint",
    "settle": "_settle(p_lanes bigint[] default null) returns bigint",
    "fold": "_fold(p_limit integer) returns bigint",
    "sample": "_sample() returns bigint",
    "partition": "_partition(p_days integer) returns bigint",
    "prune": "_prune(p_limit integer) returns bigint",
    "audit_state": "_audit(p_limit integer) returns bigint",
    "operate": "_operate(p_limit integer) returns bigint",
}


def replace_work(conn: Conn, verb: str, body: str) -> None:
    conn.execute(
        f"create or replace function pgq.{WORK[verb]} language plpgsql as"
        f" $$ begin {body}; return 0; end $$"
    )


def advisory_locks(conn: Conn, session: Conn) -> list[int]:
    return column(
        conn,
        "select objid::bigint from pg_locks"
        " where locktype = 'advisory' and classid = 1885827428 and pid = %s",
        [session.info.backend_pid],
    )


def test_tick_does_a_round_of_everything(conn: Conn) -> None:
    day = day_of_ids(conn, 40)
    call(conn, "complete", **hold(running(conn)))
    conn.execute("update pgq.finished set finished_at = now() - interval '39 days'")
    conn.execute("select setval('pgq.job_id_seq', (pgq._today() - 1)::bigint << 32)")
    conn.execute("select pgq.partition()")
    (due,) = insert(conn, run_at="2999-01-01")
    conn.execute("update pgq.delayed set run_at = now()")
    lost = running(conn)
    move_clock(conn, "1 minute")
    (stateless,) = insert(conn, queue="other")
    conn.execute("delete from pgq.ready where job_id = %s", [stateless])
    (unwanted,) = insert(conn, queue="unwanted")
    answer(conn, "start_operation", verb="cancel", queue="unwanted")
    for _ in range(2):
        conn.execute("call pgq.tick()")
    assert [state(conn, each) for each in (due, lost["id"], stateless)] == ["ready"] * 3
    assert state(conn, unwanted) == "cancelled"
    assert value(conn, "select count(*) from pgq.floor") > 0
    assert value(conn, "select count(*) from pgq.counter") > 0
    assert value(conn, "select count(*) from pgq.sample") > 0
    assert day not in days(conn)


def test_tick_is_refused_inside_a_transaction(conn: Conn, dsn: str) -> None:
    (job,) = insert(conn, run_at="2999-01-01")
    conn.execute("update pgq.delayed set run_at = now()")
    with connect(dsn, autocommit=False) as other:
        other.execute("select 1")
        with pytest.raises(psycopg.errors.InvalidTransactionTermination):
            other.execute("call pgq.tick()")
        other.rollback()
    assert state(conn, job) == "scheduled"


def test_tick_commits_between_its_verbs(conn: Conn, dsn: str) -> None:
    """One that fails undoes none before it."""
    (job,) = insert(conn, run_at="2999-01-01")
    conn.execute("update pgq.delayed set run_at = now()")
    replace_work(conn, "audit_state", "raise 'broken'")
    with pytest.raises(psycopg.errors.RaiseException):
        conn.execute("call pgq.tick()")
    assert state(conn, job) == "ready"


@pytest.mark.parametrize("verb", VERBS)
def test_lock_is_given_back(conn: Conn, dsn: str, verb: str) -> None:
    with connect(dsn, autocommit=False) as other:
        answer(other, verb)
        assert advisory_locks(conn, other) == []


@pytest.mark.parametrize("verb", VERBS)
def test_lock_is_given_back_after_an_error(conn: Conn, dsn: str, verb: str) -> None:
    replace_work(conn, verb, "raise 'broken'")
    with connect(dsn) as other:
        with pytest.raises(psycopg.errors.RaiseException):
            answer(other, verb)
        assert advisory_locks(conn, other) == []


@pytest.mark.parametrize("verb", VERBS)
def test_lock_is_given_back_when_cancelled(conn: Conn, dsn: str, verb: str) -> None:
    replace_work(conn, verb, "perform pg_sleep(60)")
    with connect(dsn) as other:

        def run() -> None:
            with pytest.raises(psycopg.errors.QueryCanceled):
                answer(other, verb)

        with in_background(run) as ended:
            wait_until(lambda: advisory_locks(conn, other), "it holds its lock")
            other.cancel_safe()
            ended.result()
        assert advisory_locks(conn, other) == []


@pytest.mark.parametrize("verb", VERBS)
def test_who_finds_another_at_it_returns_at_once(conn: Conn, dsn: str, verb: str) -> None:
    conn.execute("set lock_timeout = '1ms'")
    with connect(dsn) as other:
        other.execute("select pg_advisory_lock(1885827428, hashtext(%s))", [verb])
        assert answer(conn, verb) in (0, False)


@pytest.fixture
def busy(conn: Conn) -> None:
    """There is something to do for each verb."""
    day_of_ids(conn, 40)
    call(conn, "complete", **hold(running(conn)))
    conn.execute("update pgq.finished set finished_at = now() - interval '39 days'")
    day_of_ids(conn, 1)
    for table in ("job", "finished", "attempt", "log"):
        name = value(conn, "select pgq._partition_name(%s, pgq._today() + 7)", [table])
        conn.execute(f"drop table pgq.{name}")
    insert_due(conn)
    worker = register(conn)
    running(conn, worker=worker)
    running(conn)
    prolong(conn)
    conn.execute("update pgq.worker set expires_at = pgq._clock()")
    move_clock(conn, "1 minute")
    (stateless,) = insert(conn, queue="other")
    conn.execute("delete from pgq.ready where job_id = %s", [stateless])
    insert(conn, 5)
    insert(conn, 5, queue="unwanted")
    answer(conn, "start_operation", verb="cancel", queue="unwanted")
    repeat_sweep(conn, "expire", "trim", "audit_counters", "tally_due", "delayed_sweep")


def insert_due(conn: Conn) -> int:
    (job,) = insert(conn, run_at="2999-01-01")
    conn.execute("update pgq.delayed set run_at = clock_timestamp() where job_id = %s", [job])
    return job


@pytest.mark.usefixtures("busy")
@pytest.mark.parametrize("verb", VERBS)
def test_who_stays_in_a_transaction_holds_up_nobody(conn: Conn, dsn: str, verb: str) -> None:
    """Whoever called upkeep and idles: the others' work and upkeep go on."""
    with connect(dsn, autocommit=False) as hostage:
        answer(hostage, verb)
        conn.execute("set lock_timeout = '1ms'")
        due = insert_due(conn)
        worker = register(conn, name="another")
        insert(conn, 3, queue="new", unique_key=None)
        insert(conn, queue="new", unique_key=f"key of {verb}")
        leases = claim(conn, worker=worker, queues=["new"], limits=4)
        assert len(leases) == 4
        call(conn, "start", **hold_all(*leases), ran_seconds=[1.0] * 4)
        call(conn, "heartbeat", worker=worker, **hold_all(*leases))
        call(conn, "log", **hold(leases[0]), message="on")
        call(conn, "complete", **hold(leases[0]))
        call(conn, "fail", **hold(leases[1]))
        call(conn, "release", **hold_all(leases[2]))
        call(conn, "cancel", id=leases[3]["id"])
        call(conn, "cancel", **hold(leases[3]))
        for each in VERBS:
            repeat_sweep_unlocked(conn)
            answer(conn, each)
        assert state(conn, due) == "ready"
        assert value(conn, "select count(*) > 0 from pgq.counter")
        hostage.commit()
    conn.execute("reset lock_timeout")
    for each in VERBS:
        answer(conn, each)
    assert claim_one(conn, queues=["new"])["id"] == leases[2]["id"]


def repeat_sweep_unlocked(conn: Conn) -> None:
    conn.execute(
        "update pgq.cursor set at = at - interval '1 hour' where ctid = any (array("
        " select ctid from pgq.cursor where stream in ('expire', 'trim', 'tally_due',"
        " 'delayed_sweep') for update skip locked))"
    )


@pytest.mark.usefixtures("busy")
@pytest.mark.parametrize("verb", VERBS)
def test_two_rounds_at_once_do_each_thing_once(conn: Conn, dsn: str, verb: str) -> None:
    conn.execute("set lock_timeout = '5s'")
    before = row(conn, "select count(*) as n from pgq.job")
    with connect(dsn, autocommit=False) as one:
        answer(one, verb)
        answer(conn, verb)
        one.commit()
    for each in VERBS:
        answer(conn, each)
        answer(conn, each)
    repeat_sweep(conn, "audit_counters")
    found = [answer(conn, "audit_state") for _ in range(3)]
    assert found[1:] == [0, 0]
    assert before["n"] >= value(conn, "select count(*) from pgq.job")
    stands = value(
        conn,
        "select count(*) from pgq.job_status s where s.state is null",
    )
    assert stands == 0
