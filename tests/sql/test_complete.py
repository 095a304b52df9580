"""complete: the end of a job that succeeded."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest

from sql.support import (
    Conn,
    answer,
    call,
    claim_one,
    column,
    connect,
    hold,
    hold_all,
    in_background,
    insert,
    lose,
    refused,
    register,
    row,
    running,
    state,
    value,
    wait_for_lock,
)


def test_completed_job_has_succeeded(conn: Conn) -> None:
    worker = register(conn)
    lease = running(conn, worker=worker)
    call(conn, "complete", **hold(lease), result='{"sum": 3}')
    assert state(conn, lease["id"]) == "succeeded"
    finished = row(conn, "select * from pgq.finished")
    assert finished["outcome"] == "succeeded"
    assert finished["result"] == {"sum": 3}
    assert (finished["token"], finished["worker"]) == (lease["token"], worker)
    assert finished["attempt"] == 1
    assert value(conn, "select count(*) from pgq.lease") == 0


def test_late_worker_cannot_complete_a_job_it_lost(conn: Conn) -> None:
    worker = register(conn)
    late = running(conn, worker=worker)
    lose(conn, worker)
    with refused("PQ001") as said:
        call(conn, "complete", **hold(late))
    assert f"job {late['id']}" in said.message
    assert "ready" in said.detail
    assert said.hint
    holder = claim_one(conn)
    with refused("PQ001"):
        call(conn, "complete", **hold(late))
    call(conn, "complete", **hold(holder), result='"second"')
    with refused("PQ001"):
        call(conn, "complete", **hold(late), result='"late"')
    assert value(conn, "select result from pgq.finished") == "second"


def test_token_of_nobody_is_refused(conn: Conn) -> None:
    lease = running(conn)
    with refused("PQ001"):
        call(conn, "complete", id=lease["id"], token=uuid.uuid4())
    assert state(conn, lease["id"]) == "running"


@pytest.mark.parametrize("job", [1, None])
def test_unknown_job_is_refused(conn: Conn, job: int | None) -> None:
    with refused("PQ001"):
        call(conn, "complete", id=job, token=uuid.uuid4())


def test_token_is_of_its_own_job(conn: Conn) -> None:
    one, two = running(conn), running(conn)
    with refused("PQ001"):
        call(conn, "complete", id=one["id"], token=two["token"])


def test_completing_again_with_the_same_token_succeeds(conn: Conn) -> None:
    lease = running(conn)
    call(conn, "complete", **hold(lease), result="1")
    call(conn, "complete", **hold(lease), result="2")
    assert value(conn, "select result from pgq.finished") == 1
    assert value(conn, "select sum(n) from pgq.tally where label = 'running>succeeded'") == 1


def test_completion_commits_with_the_users_own_writes(conn: Conn, dsn: str) -> None:
    conn.execute("create table account (balance integer)")
    lease = running(conn)
    with connect(dsn, autocommit=False) as user:
        user.execute("insert into account values (1)")
        call(user, "complete", **hold(lease))
        assert state(conn, lease["id"]) == "running"
        user.commit()
    assert state(conn, lease["id"]) == "succeeded"
    assert column(conn, "select balance from account") == [1]


def test_completion_is_undone_with_the_users_own_writes(conn: Conn, dsn: str) -> None:
    conn.execute("create table account (balance integer)")
    lease = running(conn)
    with connect(dsn, autocommit=False) as user:
        user.execute("insert into account values (1)")
        call(user, "complete", **hold(lease))
        user.rollback()
    assert state(conn, lease["id"]) == "running"
    assert column(conn, "select balance from account") == []
    call(conn, "complete", **hold(lease))


def test_refused_completion_undoes_the_users_own_writes(conn: Conn, dsn: str) -> None:
    conn.execute("create table account (balance integer)")
    lease = running(conn)
    call(conn, "release", **hold_all(lease))
    with refused("PQ001"), connect(dsn, autocommit=False) as user:
        user.execute("insert into account values (1)")
        call(user, "complete", **hold(lease))
    assert column(conn, "select balance from account") == []


def test_lost_worker_does_not_take_what_is_being_completed(conn: Conn, dsn: str) -> None:
    """A job whose holder completes it in an open transaction is not given to another."""
    worker = register(conn)
    lease = running(conn, worker=worker)
    with connect(dsn, autocommit=False) as user:
        call(user, "complete", **hold(lease))
        lose(conn, worker)
        assert state(conn, lease["id"]) == "running"
        user.commit()
    answer(conn, "reap")
    assert state(conn, lease["id"]) == "succeeded"


def test_second_completer_waits_for_the_first(conn: Conn, dsn: str) -> None:
    lease = running(conn)
    with connect(dsn, autocommit=False) as first, connect(dsn) as second:
        call(first, "complete", **hold(lease), result="1")
        with in_background(lambda: call(second, "complete", **hold(lease), result="2")) as repeat:
            wait_for_lock(conn, second)
            first.commit()
            repeat.result()
    assert value(conn, "select result from pgq.finished") == 1


def test_result_over_the_limit_is_refused_with_the_job_still_leased(conn: Conn) -> None:
    call(conn, "configure", result_limit=10)
    lease = running(conn)
    with refused("PQ005") as said:
        call(conn, "complete", **hold(lease), result='"123456789"')
    assert "11 bytes" in said.detail
    assert said.hint
    assert state(conn, lease["id"]) == "running"
    call(conn, "complete", **hold(lease), result='"12345678"')


def test_late_worker_with_too_large_a_result_hears_that_it_lost(conn: Conn) -> None:
    call(conn, "configure", result_limit=10)
    lease = running(conn)
    call(conn, "release", **hold_all(lease))
    with refused("PQ001"):
        call(conn, "complete", **hold(lease), result='"123456789"')


def test_unique_key_is_free_once_completed(conn: Conn) -> None:
    lease = running(conn, unique_key="k")
    assert insert(conn, unique_key="k") == []
    call(conn, "complete", **hold(lease))
    assert len(insert(conn, unique_key="k")) == 1


def test_key_of_another_job_is_not_freed(conn: Conn) -> None:
    """A job whose key was lost to another by hand leaves that one's alone."""
    lease = running(conn, unique_key="k")
    conn.execute("update pgq.unique_key set job_id = 1")
    call(conn, "complete", **hold(lease))
    assert column(conn, "select job_id from pgq.unique_key") == [1]


def test_time_that_was_started_is_kept(conn: Conn) -> None:
    lease = running(conn)
    call(conn, "start", **hold_all(lease), ran_seconds=[60.0])
    started = value(conn, "select started_at from pgq.lease")
    call(conn, "complete", **hold(lease))
    assert value(conn, "select started_at from pgq.finished") == started


def test_completion_honours_no_cancellation(conn: Conn) -> None:
    """What has been done is done: a request that came too late leaves the job succeeded."""
    lease = running(conn)
    assert answer(conn, "cancel", id=lease["id"]) == "requested"
    call(conn, "complete", **hold(lease))
    assert state(conn, lease["id"]) == "succeeded"


def test_job_of_an_old_day_completes(conn: Conn) -> None:
    conn.execute("insert into pgq.job (id, task) values ((pgq._today() + 3)::bigint << 32, 'echo')")
    lease = claim_one(conn)
    call(conn, "complete", **hold(lease))
    assert state(conn, lease["id"]) == "succeeded"


def test_finished_at_follows_claimed_at(conn: Conn) -> None:
    lease = running(conn)
    call(conn, "complete", **hold(lease))
    finished = value(conn, "select finished_at from pgq.finished")
    assert timedelta(0) <= finished - lease["claimed_at"]
