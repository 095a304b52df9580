"""prune: what has been kept for long enough goes."""

from __future__ import annotations

from typing import Any

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
    register,
    repeat_sweep,
    row,
    running,
    state,
    value,
)

TABLES = ["job", "finished", "attempt", "log"]


def die(conn: Conn, age: str, **columns: Any) -> int:
    lease = running(conn, **columns)
    call(conn, "fail", **hold(lease), permanent=True)
    conn.execute(
        "update pgq.dead set died_at = now() - %s::interval where job_id = %s", [age, lease["id"]]
    )
    return int(lease["id"])


def finish(conn: Conn, age: str, **columns: Any) -> int:
    lease = running(conn, **columns)
    answer(conn, "log", **hold(lease), message="a line")
    call(conn, "complete", **hold(lease))
    make_old(conn, age, int(lease["id"]))
    return int(lease["id"])


def make_old(conn: Conn, age: str, job: int) -> None:
    for table, at in (("finished", "finished_at"), ("attempt", "ended_at"), ("log", "at")):
        conn.execute(
            f"update pgq.{table} set {at} = now() - %s::interval where job_id = %s", [age, job]
        )


def prune(conn: Conn) -> int:
    repeat_sweep(conn, "expire", "trim")
    return int(answer(conn, "prune"))


def known(conn: Conn, job: int) -> bool:
    return bool(column(conn, "select id from pgq.job where id = %s", [job]))


# Dead letters ---------------------------------------------------------------------------------


def test_dead_letter_is_kept_for_30_days(conn: Conn) -> None:
    old, young = die(conn, "31 days"), die(conn, "29 days")
    assert prune(conn) == 1
    assert not known(conn, old)
    assert state(conn, young) == "dead"
    assert column(conn, "select job_id from pgq.attempt") == [young]


def test_queue_says_how_long_its_dead_letters_are_kept(conn: Conn) -> None:
    call(conn, "configure_queue", queue="short", keep_dead="1 day")
    call(conn, "configure_queue", queue="long", keep_dead="90 days")
    jobs = {queue: die(conn, "40 days", queue=queue) for queue in ("short", "long", "default")}
    prune(conn)
    assert {queue for queue, job in jobs.items() if known(conn, job)} == {"long"}


def test_no_more_dead_letters_than_the_limit_at_once(conn: Conn) -> None:
    for _ in range(5):
        die(conn, "31 days")
    assert [call(conn, "prune", limit=2)[0]["prune"] for _ in range(4)] == [2, 2, 1, 0]


def test_dead_letter_that_somebody_retries_is_not_waited_for(conn: Conn, dsn: str) -> None:
    job = die(conn, "31 days")
    conn.execute("set lock_timeout = '1ms'")
    with connect(dsn, autocommit=False) as operator:
        call(operator, "retry", id=job)
        assert prune(conn) == 0
        operator.commit()
    assert prune(conn) == 0
    assert claim_one(conn)["id"] == job


def test_pruned_dead_letters_are_counted(conn: Conn) -> None:
    die(conn, "31 days")
    prune(conn)
    answer(conn, "fold")
    assert value(conn, "select n from pgq.counter where label = 'dead>'") == 1


# Finished jobs, one by one --------------------------------------------------------------------


def test_queue_says_how_long_its_finished_jobs_are_kept(conn: Conn) -> None:
    call(conn, "configure_queue", queue="short", keep_finished="1 hour")
    old = finish(conn, "2 hours", queue="short")
    young = finish(conn, "10 minutes", queue="short")
    other = finish(conn, "2 hours")
    assert prune(conn) == 1
    assert [known(conn, each) for each in (old, young, other)] == [False, True, True]
    for table in ("finished", "log"):
        kept = column(conn, f"select job_id from pgq.{table} order by 1")
        assert kept == [young, other]


def test_slices_come_to_every_finished_job(conn: Conn) -> None:
    call(conn, "configure", keep_finished="1 hour")
    jobs = [finish(conn, "10 minutes" if i % 2 else "2 hours") for i in range(10)]
    assert sum(call(conn, "prune", limit=3)[0]["prune"] for _ in range(5)) == 5
    assert [known(conn, each) for each in jobs] == [False, True] * 5


def test_cancelled_job_that_somebody_retries_is_not_lost(conn: Conn, dsn: str) -> None:
    call(conn, "configure", keep_finished="1 hour")
    (job,) = insert(conn)
    call(conn, "cancel", id=job)
    make_old(conn, "2 hours", job)
    with connect(dsn, autocommit=False) as operator, connect(dsn) as upkeep:
        call(operator, "retry", id=job)
        upkeep.execute("set lock_timeout = '1ms'")
        with in_background(lambda: prune(upkeep)) as pruned:
            assert pruned.result() == 0
        operator.commit()
    prune(conn)
    assert state(conn, job) == "ready"
    assert claim_one(conn)["id"] == job


# Whole days -----------------------------------------------------------------------------------


def test_day_is_dropped_once_nothing_of_it_is_kept(conn: Conn) -> None:
    day = day_of_ids(conn, 40)
    finish(conn, "39 days")
    answer(conn, "partition")
    assert day in days(conn)
    prune(conn)
    for table in TABLES:
        assert day not in days(conn, table)
    assert value(conn, "select count(*) from pgq.expired_day") == 0


def test_day_is_kept_for_as_long_as_the_queue_that_keeps_longest(conn: Conn) -> None:
    call(conn, "configure_queue", queue="long", keep_finished="60 days")
    day = day_of_ids(conn, 40)
    job = finish(conn, "39 days", queue="long")
    answer(conn, "partition")
    prune(conn)
    assert day in days(conn)
    assert state(conn, job) == "succeeded"


def test_day_of_a_job_that_ended_late_is_kept(conn: Conn) -> None:
    day = day_of_ids(conn, 40)
    finish(conn, "1 day")
    answer(conn, "partition")
    prune(conn)
    assert day in days(conn)


def test_day_into_which_ids_go_is_kept(conn: Conn) -> None:
    day = day_of_ids(conn, 40)
    finish(conn, "39 days")
    prune(conn)
    assert day in days(conn)


def test_today_is_kept(conn: Conn) -> None:
    finish(conn, "39 days")
    before = days(conn)
    prune(conn)
    assert days(conn) == before


def test_day_is_dropped_when_the_transaction_commits(conn: Conn, dsn: str) -> None:
    day = day_of_ids(conn, 40)
    job = finish(conn, "39 days")
    answer(conn, "partition")
    conn.execute("set lock_timeout = '1ms'")
    with connect(dsn, autocommit=False) as hostage:
        prune(hostage)
        # As if nobody had called it: everybody reads and writes on.
        assert state(conn, job) == "succeeded"
        insert(conn)
        call(conn, "complete", **hold(claim_one(conn)))
        assert day in days(conn)
        hostage.commit()
    assert day not in days(conn)


def test_day_stays_when_the_transaction_is_rolled_back(conn: Conn, dsn: str) -> None:
    day = day_of_ids(conn, 40)
    job = finish(conn, "39 days")
    answer(conn, "partition")
    with connect(dsn, autocommit=False) as other:
        prune(other)
        other.rollback()
    assert day in days(conn)
    assert state(conn, job) == "succeeded"
    prune(conn)
    assert day not in days(conn)


def test_day_that_somebody_reads_is_dropped_in_another_round(conn: Conn, dsn: str) -> None:
    day = day_of_ids(conn, 40)
    job = finish(conn, "39 days")
    answer(conn, "partition")
    with connect(dsn, autocommit=False) as reader:
        reader.execute("select count(*) from pgq.log")
        prune(conn)
        assert day in days(conn)
        assert state(conn, job) == "succeeded"
        reader.rollback()
    prune(conn)
    assert day not in days(conn)


def test_day_of_a_job_that_lives_keeps_the_job_but_not_its_history(conn: Conn) -> None:
    day = day_of_ids(conn, 40)
    gone = [finish(conn, "39 days") for _ in range(3)]
    (alive,) = insert(conn, run_at="2999-01-01")
    answer(conn, "partition")
    prune(conn)
    prune(conn)
    assert day in days(conn)
    assert state(conn, alive) == "scheduled"
    assert not any(known(conn, job) for job in gone)
    for table in ("finished", "attempt", "log"):
        assert value(conn, f"select count(*) from pgq.{table}") == 0
    assert answer(conn, "audit_state") == 0


def test_job_that_outlived_its_day_runs_and_ends(conn: Conn) -> None:
    day = day_of_ids(conn, 40)
    finish(conn, "39 days")
    (alive,) = insert(conn)
    answer(conn, "partition")
    prune(conn)
    lease = claim_one(conn)
    call(conn, "complete", **hold(lease))
    prune(conn)
    assert state(conn, alive) == "succeeded"
    make_old(conn, "8 days", alive)
    prune(conn)
    prune(conn)
    assert day not in days(conn)


def test_day_of_a_dead_letter_is_kept_with_it(conn: Conn) -> None:
    day = day_of_ids(conn, 40)
    job = die(conn, "20 days")
    make_old(conn, "20 days", job)
    answer(conn, "partition")
    prune(conn)
    assert day in days(conn)
    assert state(conn, job) == "dead"
    assert value(conn, "select count(*) from pgq.attempt") == 1


def test_ended_jobs_of_a_living_day_go_in_slices(conn: Conn) -> None:
    day_of_ids(conn, 40)
    for _ in range(7):
        finish(conn, "39 days")
    (alive,) = insert(conn)
    answer(conn, "partition")
    repeat_sweep(conn, "expire")
    for _ in range(5):
        call(conn, "prune", limit=2)
    assert column(conn, "select id from pgq.job") == [alive]


def test_every_living_day_is_thinned(conn: Conn) -> None:
    alive = []
    for days_ago in (42, 41, 40):
        day_of_ids(conn, days_ago)
        finish(conn, "39 days")
        finish(conn, "39 days")
        alive += insert(conn, run_at="2999-01-01")
    answer(conn, "partition")
    repeat_sweep(conn, "expire")
    for _ in range(12):
        call(conn, "prune", limit=1)
    assert column(conn, "select id from pgq.job order by id") == alive


# What has served ------------------------------------------------------------------------------


def test_floors_marks_cursors_and_ticks_are_trimmed(conn: Conn) -> None:
    insert(conn)
    for _ in range(5):
        claim(conn)
        insert(conn)
        conn.execute("update pgq.floor set at = at - interval '1 minute'")
        answer(conn, "settle")
        answer(conn, "promote")
        answer(conn, "reap")
    highest = row(
        conn,
        "select (select max(floor) from pgq.floor) as floor,"
        " (select max(clock) from pgq.lease_clock) as clock,"
        " (select max(mark) from pgq.mark where stream = 'ready') as mark",
    )
    for table, at in (
        ("floor", "at"),
        ("mark", "noted_at"),
        ("cursor", "at"),
        ("lease_clock", "at"),
    ):
        conn.execute(f"update pgq.{table} set {at} = {at} - interval '1 hour'")
    prune(conn)
    left = row(
        conn,
        "select (select max(floor) from pgq.floor) as floor,"
        " (select max(clock) from pgq.lease_clock) as clock,"
        " (select max(mark) from pgq.mark where stream = 'ready') as mark",
    )
    assert left == highest
    assert value(conn, "select count(*) from pgq.floor") == 1
    assert value(conn, "select count(*) from pgq.lease_clock") == 1
    assert value(conn, "select count(*) from pgq.mark") <= 4


def test_workers_gone_for_a_day_are_forgotten(conn: Conn) -> None:
    gone, recent = register(conn), register(conn)
    conn.execute("update pgq.worker set state = 'offline'")
    conn.execute(
        "update pgq.worker set heartbeat_at = now() - interval '25 hours' where id = %s", [gone]
    )
    prune(conn)
    assert column(conn, "select id from pgq.worker") == [recent]


def test_cancellations_of_ended_attempts_are_forgotten(conn: Conn) -> None:
    ended, runs = running(conn), running(conn)
    for lease in (ended, runs):
        call(conn, "cancel", id=lease["id"])
    call(conn, "complete_many", **hold_all(ended))
    conn.execute("update pgq.cancel_request set requested_at = now() - interval '1 hour'")
    prune(conn)
    assert column(conn, "select job_id from pgq.cancel_request") == [runs["id"]]


@pytest.mark.parametrize("what", ["revoked_at", "expires_at"])
def test_tokens_are_forgotten_30_days_after_they_ended(conn: Conn, what: str) -> None:
    old, recent, valid = (
        answer(conn, "create_token", name="t", hash=bytes([n] * 32), scopes=["view"])
        for n in range(3)
    )
    for token, age in ((old, "31 days"), (recent, "29 days")):
        conn.execute(
            f"update pgq.token set {what} = now() - %s::interval where id = %s", [age, token]
        )
    prune(conn)
    assert column(conn, "select id from pgq.token order by id") == [recent, valid]
