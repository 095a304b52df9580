"""Who may write about a running job, who is charged when a process dies, and what time it is."""

from __future__ import annotations

import uuid
from typing import Any

from races.play import Play, claimed
from sql.support import (
    Conn,
    Row,
    answer,
    call,
    claim,
    claim_one,
    column,
    hold_all,
    in_background,
    insert,
    lose,
    prolong,
    refused,
    register,
    row,
    state,
    upkeep_goes_on,
    value,
    wait_until,
)


def begin(conn: Conn, worker: int, *, limit: int = 1, executor: int = 1) -> list[Row]:
    return claim(conn, worker=worker, executor=executor, limits=limit)


def child_dies(conn: Conn, worker: int, *, begun: list[int], executor: int = 1) -> dict[int, str]:
    ended = call(conn, "release_executor", worker=worker, executor=executor, begun=begun)
    return {each["id"]: each["state"] for each in ended}


def standing(conn: Conn, job: int) -> Row:
    return row(conn, "select suspect, crashes, attempt from pgq.ready where job_id = %s", [job])


# The fence --------------------------------------------------------------------------------------


def test_late_worker_cannot_complete_a_job_it_lost(play: Play) -> None:
    conn = play.session()
    (job,) = insert(conn)
    late = register(conn)
    stale = claim_one(conn, worker=late)
    assert lose(conn, late) == 1
    current = claim_one(conn, worker=register(conn))
    assert current["id"] == job
    outcomes = call(conn, "complete_many", **hold_all(stale))
    assert (outcomes, state(conn, job)) == ([{"id": job, "outcome": "lost"}], "running")


def test_token_completes_its_own_job_only(play: Play) -> None:
    conn = play.session()
    (job,) = insert(conn)
    stale = claim_one(conn)
    call(conn, "release", **hold_all(stale))
    (other,) = insert(conn)
    again = {each["id"]: each for each in claim(conn, limits=2)}
    # Both belong to the new token, and the batch knows it, but not for this job.
    call(conn, "complete_many", **hold_all(stale, again[other]))
    assert (state(conn, job), state(conn, other)) == ("running", "succeeded")


def test_token_fails_its_own_job_only(play: Play) -> None:
    conn = play.session()
    (job,) = insert(conn)
    stale = claim_one(conn)
    call(conn, "release", **hold_all(stale))
    (other,) = insert(conn)
    again = {each["id"]: each for each in claim(conn, limits=2)}
    call(conn, "fail_many", **hold_all(stale, again[other]))
    assert (state(conn, job), state(conn, other)) == ("running", "retrying")


def test_batch_that_waited_for_a_cancellation_sees_it(play: Play) -> None:
    conn = play.session()
    (job,) = insert(conn)
    lease = claim_one(conn)
    canceller, worker = play.transaction(), play.session()
    call(canceller, "cancel", id=job)
    with in_background(lambda: call(worker, "fail_many", **hold_all(lease))) as failing:
        wait_until(lambda: failing.done() or waits(conn, worker), "the failure waits")
        canceller.commit()
        failing.result()
    assert state(conn, job) == "cancelled"


def test_repeated_claim_gets_the_same_leases(play: Play) -> None:
    conn, again = play.session(), play.session()
    insert(conn, 4)
    token = uuid.uuid4()
    session = play.transaction()
    first = claim(session, token=token, limits=2)
    with in_background(lambda: claim(again, token=token, limits=2)) as repeated:
        wait_until(lambda: repeated.done() or waits(conn, again), "the repeat waits for the first")
        session.commit()
        assert [each["id"] for each in repeated.result()] == [each["id"] for each in first]


# Suspects ---------------------------------------------------------------------------------------


def test_child_that_dies_charges_none_of_the_jobs_in_it(play: Play) -> None:
    conn = play.session()
    begun, prefetched = insert(conn, 2)
    worker = register(conn)
    begin(conn, worker, limit=2)
    assert child_dies(conn, worker, begun=[begun]) == {begun: "suspect", prefetched: "ready"}
    assert standing(conn, begun) == {"suspect": True, "crashes": 0, "attempt": 0}


def test_job_that_was_only_prefetched_is_no_suspect(play: Play) -> None:
    conn = play.session()
    begun, prefetched = insert(conn, 2)
    worker = register(conn)
    begin(conn, worker, limit=2)
    child_dies(conn, worker, begun=[begun])
    assert standing(conn, prefetched) == {"suspect": False, "crashes": 0, "attempt": 0}


def test_suspect_comes_alone(play: Play) -> None:
    conn = play.session()
    jobs = insert(conn, 4)
    worker = register(conn)
    begin(conn, worker, limit=4)
    child_dies(conn, worker, begun=jobs[:2])
    for job in jobs[:2]:
        assert [each["id"] for each in begin(conn, worker, limit=10)] == [job]


def test_suspect_whose_process_dies_is_charged(play: Play) -> None:
    conn = play.session()
    (job,) = insert(conn)
    worker = register(conn)
    for _ in range(2):
        begin(conn, worker)
        child_dies(conn, worker, begun=[job])
    assert standing(conn, job) == {"suspect": True, "crashes": 1, "attempt": 0}


def test_suspect_is_dead_after_three_charges(play: Play) -> None:
    conn = play.session()
    (job,) = insert(conn)
    worker = register(conn)
    for _ in range(4):
        begin(conn, worker)
        child_dies(conn, worker, begun=[job])
    assert state(conn, job) == "dead"
    assert value(conn, "select reason from pgq.dead") == "crashed"


def test_jobs_of_a_lost_worker_are_uncharged_suspects(play: Play) -> None:
    conn = play.session()
    (job,) = insert(conn)
    worker = register(conn)
    begin(conn, worker)
    assert lose(conn, worker) == 1
    assert standing(conn, job) == {"suspect": True, "crashes": 0, "attempt": 0}


def test_suspect_of_a_lost_worker_is_charged(play: Play) -> None:
    conn = play.session()
    job, worker = suspect_in_hand(conn)
    assert lose(conn, worker) == 1
    assert standing(conn, job)["crashes"] == 1


def test_suspect_is_not_charged_by_a_reap_that_follows_a_gap(play: Play) -> None:
    conn = play.session()
    job, worker = suspect_in_hand(conn)
    prolong(conn)
    conn.execute("update pgq.worker set expires_at = pgq._clock() where id = %s", [worker])
    move_last_tick(conn, "-1 hour")
    assert answer(conn, "reap") == 1
    assert standing(conn, job)["crashes"] == 0


def suspect_in_hand(conn: Conn) -> tuple[int, int]:
    """A suspect that runs, and its worker."""
    (job,) = insert(conn)
    worker = register(conn)
    begin(conn, worker)
    child_dies(conn, worker, begun=[job])
    assert len(begin(conn, worker)) == 1
    return job, worker


# The lease clock --------------------------------------------------------------------------------


def test_time_without_upkeep_expires_no_worker(play: Play) -> None:
    conn = play.session()
    worker = register(conn)
    upkeep_goes_on(conn)
    move_last_tick(conn, "-1 hour")
    answer(conn, "reap")
    assert worker_state(conn, worker) == "available"


def test_lease_clock_does_not_go_back_with_the_clock_of_the_server(play: Play) -> None:
    conn = play.session()
    upkeep_goes_on(conn)
    before = value(conn, "select pgq._clock()")
    move_last_tick(conn, "1 hour")
    answer(conn, "reap")
    assert value(conn, "select pgq._clock()") >= before


def test_worker_that_expired_is_refused_for_good(play: Play) -> None:
    conn = play.session()
    worker = register(conn)
    lose(conn, worker)
    # Even when the clock said otherwise.
    conn.execute("update pgq.worker set expires_at = pgq._clock() + interval '1 hour'")
    with refused("PQ008"):
        call(conn, "heartbeat", worker=worker, ids=[], tokens=[])


def move_last_tick(conn: Conn, interval: str) -> None:
    """Makes the last round of upkeep lie further in the past, or in the future."""
    conn.execute(
        "update pgq.lease_clock set at = at + %s::interval "
        "where id = (select max(id) from pgq.lease_clock)",
        [interval],
    )


def worker_state(conn: Conn, worker: int) -> Any:
    return value(conn, "select state from pgq.worker where id = %s", [worker])


# Unique keys ------------------------------------------------------------------------------------


def test_two_inserts_of_a_key_at_once_make_one_job(play: Play) -> None:
    conn, second = play.session(), play.session()
    first, job = play.open_insert(unique_key="k")
    with in_background(lambda: insert(second, unique_key="k")) as inserted:
        wait_until(lambda: inserted.done() or waits(conn, second), "the second waits")
        first.commit()
        assert inserted.result() == []
    assert claimed(conn) == [job]


def test_insert_of_a_key_goes_on_when_the_other_rolls_back(play: Play) -> None:
    conn, second = play.session(), play.session()
    first, _ = play.open_insert(unique_key="k")
    with in_background(lambda: insert(second, unique_key="k")) as inserted:
        wait_until(lambda: inserted.done() or waits(conn, second), "the second waits")
        first.rollback()
        jobs = inserted.result()
    assert len(jobs) == 1
    assert claimed(conn) == jobs


def waits(conn: Conn, session: Conn) -> bool:
    """Whether the other session waits for a lock."""
    return bool(
        column(
            conn,
            "select 1 from pg_stat_activity where pid = %s and wait_event_type = 'Lock'",
            [session.info.backend_pid],
        )
    )
