"""sample and list_samples: the counters over time."""

from __future__ import annotations

from typing import Any

import pytest

from sql.states import STATES, crashed, job_in
from sql.support import (
    Conn,
    Row,
    answer,
    call,
    claim_one,
    column,
    hold,
    insert,
    lose,
    refused,
    register,
    running,
    value,
)


def sample(conn: Conn) -> dict[tuple[str, str], int]:
    """A sample of now, whatever the minute has already."""
    conn.execute("update pgq.sample set at = at - interval '1 minute'")
    assert answer(conn, "sample") > 0
    return latest(call(conn, "list_samples", limit=50_000))


def latest(rows: list[Row]) -> dict[tuple[str, str], int]:
    last = rows[-1]["at"]
    return {(each["metric"], each["label"]): each["n"] for each in rows if each["at"] == last}


def test_counters_are_summed_over_all_queues(conn: Conn) -> None:
    for wanted in STATES:
        for queue in ("a", "b"):
            job_in(conn, wanted, queue=queue)
    assert sample(conn) == {
        ("enqueued", ""): 2 * len(STATES),
        ("finished", "succeeded"): 2,
        ("finished", "cancelled"): 2,
        ("failed", "error"): 4,
        ("dead", "error"): 2,
    }


def test_folding_the_counts_changes_nothing(conn: Conn) -> None:
    for wanted in STATES:
        job_in(conn, wanted)
    before = sample(conn)
    answer(conn, "fold")
    assert value(conn, "select count(*) from pgq.counter") > 0
    assert sample(conn) == before


def test_attempts_that_failed_are_told_by_reason(conn: Conn) -> None:
    crashed(conn)
    call(conn, "fail", **hold(running(conn)), reason="timeout")
    worker = register(conn)
    running(conn, worker=worker, queue="default")
    lose(conn, worker)
    found = sample(conn)
    assert found[("dead", "crashed")] == 1
    assert found[("failed", "timeout")] == 1
    assert found[("failed", "lost")] == 1
    assert found[("failed", "crashed")] >= 1


def test_what_ends_no_job_badly_is_no_failure(conn: Conn) -> None:
    lease = running(conn)
    call(conn, "release", ids=[lease["id"]], tokens=[lease["token"]], begun=[True])
    call(conn, "cancel", **hold(claim_one(conn)))
    assert sample(conn) == {("enqueued", ""): 1, ("finished", "cancelled"): 1}


def test_job_that_is_tried_again_is_enqueued_once(conn: Conn) -> None:
    job = job_in(conn, "dead")
    answer(conn, "retry", id=job)
    call(conn, "complete", **hold(claim_one(conn)))
    found = sample(conn)
    assert (found[("enqueued", "")], found[("finished", "succeeded")]) == (1, 1)


def test_database_without_jobs_is_sampled_too(conn: Conn) -> None:
    assert sample(conn) == {("enqueued", ""): 0}


def test_minute_has_one_sample(conn: Conn) -> None:
    conn.execute(
        "insert into pgq.sample select date_trunc('minute', clock_timestamp()), 'enqueued', '', 0"
    )
    # Unless the minute ends between the two, in which case it is the next one's.
    before = value(conn, "select date_trunc('minute', clock_timestamp())")
    noted = answer(conn, "sample")
    if value(conn, "select date_trunc('minute', clock_timestamp())") == before:
        assert noted == 0
    conn.execute("update pgq.sample set at = at - interval '1 minute'")
    assert answer(conn, "sample") == 1


def test_sample_that_lies_ahead_holds_nothing_up(conn: Conn) -> None:
    """The clock of the server was set back."""
    conn.execute("insert into pgq.sample select now() + interval '1 hour', 'enqueued', '', 0")
    assert answer(conn, "sample") == 1


def test_old_samples_are_pruned(conn: Conn) -> None:
    for hours in (50, 49, 47):
        conn.execute(
            "insert into pgq.sample select now() - make_interval(hours => %s), 'enqueued', '', %s",
            [hours, hours],
        )
    for _ in range(2):
        call(conn, "prune", limit=1)
    assert column(conn, "select n from pgq.sample") == [47]


# list_samples ---------------------------------------------------------------------------------


@pytest.fixture
def samples(conn: Conn) -> list[Any]:
    """Times of three samples of two counters each."""
    for n in (3, 2, 1):
        conn.execute(
            "insert into pgq.sample select date_trunc('minute', now()) - make_interval(mins => %s),"
            " m, '', %s from unnest(array['finished', 'enqueued']) m",
            [n, 10 - n],
        )
    return column(conn, "select distinct at from pgq.sample order by 1")


def test_samples_come_in_the_order_of_time(conn: Conn, samples: list[Any]) -> None:
    found = [(each["at"], each["metric"], each["n"]) for each in call(conn, "list_samples")]
    assert found == [
        (at, metric, n)
        for n, at in enumerate(samples, start=7)
        for metric in ("enqueued", "finished")
    ]


def test_reading_goes_on_after_a_time(conn: Conn, samples: list[Any]) -> None:
    found = call(conn, "list_samples", after=samples[0])
    assert [each["at"] for each in found] == [at for at in samples[1:] for _ in range(2)]
    assert call(conn, "list_samples", after=samples[-1]) == []


def test_last_time_is_told_whole(conn: Conn, samples: list[Any]) -> None:
    found = call(conn, "list_samples", limit=3)
    assert [each["at"] for each in found] == [at for at in samples[:2] for _ in range(2)]


@pytest.mark.parametrize("limit", [0, 50_001, None])
def test_bad_limit_is_refused(conn: Conn, limit: int | None) -> None:
    insert(conn)
    with refused("PQ005"):
        call(conn, "list_samples", limit=limit)


def test_samples_are_told_as_rarely_as_one_likes(conn: Conn) -> None:
    conn.execute(
        "insert into pgq.sample select timestamptz '2026-01-01 00:00Z' + n * interval '1 minute', "
        "m, '', n from generate_series(0, 59) n, unnest(array['enqueued', 'dead']) m"
    )
    found = call(conn, "list_samples", every="15 minutes")
    assert [(each["metric"], each["n"]) for each in found] == [
        (metric, n) for n in (0, 15, 30, 45) for metric in ("dead", "enqueued")
    ]
    with refused("PQ005"):
        call(conn, "list_samples", every="0 seconds")


def test_how_the_counters_stand_now_comes_last(conn: Conn, samples: list[Any]) -> None:
    insert(conn, 2)
    found = call(conn, "list_samples", limit=1, now=True)
    assert {each["at"] for each in found[:-1]} == {samples[0]}
    assert found[-1]["at"] > samples[-1]
    assert (found[-1]["metric"], found[-1]["n"]) == ("enqueued", 2)
