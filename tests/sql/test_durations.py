"""Histograms of how long jobs wait, run, and take in all."""

from __future__ import annotations

import pytest

from sql.support import Conn, answer, call, claim, claim_one, hold, hold_all, insert, rows, running


def histogram(conn: Conn, metric: str) -> dict[float, int]:
    """Jobs by the upper bound of their bucket; the sum of all without one."""
    return {
        round(each["bucket"], 6): each["n"]
        for each in call(conn, "stats")
        if each["metric"] == metric and each["bucket"] is not None
    }


def total(conn: Conn, metric: str) -> tuple[int, float]:
    (found,) = [
        each for each in call(conn, "stats") if each["metric"] == metric and each["bucket"] is None
    ]
    return found["n"], found["sum"]


def age(conn: Conn, by: str) -> None:
    conn.execute("update pgq.ready set due_at = due_at - %s::interval", [by])


@pytest.fixture(params=[False, True], ids=["unfolded", "folded"])
def counted(request: pytest.FixtureRequest, conn: Conn) -> Conn:
    """A session; half of the time what it counts is folded as soon as it is counted."""
    if request.param:
        conn.execute(
            "create function public.fold() returns trigger language plpgsql security definer as"
            " $$ begin perform pgq._fold_range(0, null, 1000); return null; end $$;"
            " create trigger fold after insert on pgq.tally for each statement"
            " execute function public.fold()"
        )
    return conn


def test_wait_of_a_job_that_comes_alone_is_counted(counted: Conn) -> None:
    insert(counted)
    age(counted, "20 seconds")
    claim_one(counted)
    assert histogram(counted, "wait") == {30: 1}
    assert 20 <= total(counted, "wait")[1] < 30


def test_wait_is_counted_when_jobs_are_claimed(counted: Conn) -> None:
    insert(counted, 3)
    age(counted, "20 seconds")
    insert(counted)
    age(counted, "1 hour")
    claim(counted, limits=10)
    assert histogram(counted, "wait") == {7200: 4}
    n, seconds = total(counted, "wait")
    assert n == 4
    assert 4 * 3600 + 60 <= seconds < 4 * 3600 + 120


def test_run_is_counted_when_a_job_succeeds(counted: Conn) -> None:
    one, two = running(counted), running(counted)
    call(counted, "complete_many", **hold_all(one, two), ran_seconds=[0.2, 1e6])
    assert histogram(counted, "run") == {0.25: 1}
    n, seconds = total(counted, "run")
    assert n == 2
    assert seconds == pytest.approx(1_000_000.2)


def test_run_is_counted_when_an_attempt_fails(counted: Conn) -> None:
    call(counted, "fail", **hold(running(counted)), ran_seconds=45)
    assert histogram(counted, "run") == {60: 1}


def test_total_goes_from_when_it_could_have_started_to_its_success(counted: Conn) -> None:
    insert(counted)
    age(counted, "100 seconds")
    answer(counted, "complete", **hold(claim_one(counted)))
    assert histogram(counted, "total") == {300: 1}


def test_total_goes_over_all_attempts(counted: Conn) -> None:
    insert(counted)
    age(counted, "100 seconds")
    call(counted, "fail", **hold(claim_one(counted)), retry_in="0")
    answer(counted, "promote")
    age(counted, "1 hour")
    answer(counted, "complete", **hold(claim_one(counted)))
    assert histogram(counted, "total") == {7200: 1}


@pytest.mark.parametrize("verb", ["release", "decline"])
def test_total_goes_on_over_what_is_given_back(conn: Conn, verb: str) -> None:
    insert(conn)
    age(conn, "100 seconds")
    call(conn, verb, **hold_all(claim_one(conn)))
    conn.execute("update pgq.delayed set run_at = now()")
    answer(conn, "promote")
    answer(conn, "complete", **hold(claim_one(conn)))
    assert histogram(conn, "total") == {300: 1}


@pytest.mark.parametrize("jobs", [1, 2])
def test_retry_does_not_count_as_waiting(counted: Conn, jobs: int) -> None:
    for _ in range(jobs):
        call(counted, "fail", **hold(running(counted)), retry_in="0")
    answer(counted, "promote")
    age(counted, "1 hour")
    assert len(claim(counted, limits=10)) == jobs
    assert total(counted, "wait")[0] == jobs


def test_scheduled_job_waits_from_its_run_at(conn: Conn) -> None:
    insert(conn, run_at="2100-01-01")
    conn.execute("update pgq.delayed set run_at = now() - interval '20 seconds'")
    answer(conn, "promote")
    claim_one(conn)
    assert histogram(conn, "wait") == {30: 1}


def test_job_that_is_run_now_waits_from_now(conn: Conn) -> None:
    (job,) = insert(conn, run_at="2100-01-01")
    call(conn, "run_now", id=job)
    claim_one(conn)
    assert total(conn, "wait")[1] < 10


def test_clock_that_was_set_back_makes_no_time_negative(conn: Conn) -> None:
    insert(conn)
    age(conn, "-1 hour")
    lease = claim_one(conn)
    conn.execute("update pgq.lease set claimed_at = claimed_at + interval '1 hour'")
    answer(conn, "complete", **hold(lease))
    for metric in ("wait", "run", "total"):
        assert total(conn, metric) == (1, 0)


def test_each_queue_has_its_own(counted: Conn) -> None:
    insert(counted, 2, queue="a")
    insert(counted, queue="b")
    claim(counted, queues=["a", "b"], limits=5)
    assert {
        each["queue"]: each["n"]
        for each in rows(counted, "select * from pgq.stats() where metric = 'wait'")
        if each["bucket"] is None
    } == {"a": 2, "b": 1}
