"""Each step of the settle rule, in the smallest race that it decides."""

from __future__ import annotations

from races.play import Play, claimed, enter_lane, pass_marks_by, seq_of, stray
from sql.support import (
    answer,
    claim,
    column,
    floor,
    in_background,
    insert,
    refused,
    register,
    repeat_sweep,
    rows,
    settle,
    state,
    upkeep_goes_on,
    value,
    wait_for_lock,
)

# Gate, holders, sequence ------------------------------------------------------------------------


def test_floor_does_not_pass_an_insert_that_is_not_committed(play: Play) -> None:
    conn = play.session()
    early, first = play.open_insert()
    (second,) = insert(conn)
    settle(conn)
    assert claimed(conn) == [second]
    settle(conn)
    early.commit()
    assert claimed(conn) == [first]


def test_floor_does_not_pass_the_rest_of_a_transaction_that_rolled_back_to_a_savepoint(
    play: Play,
) -> None:
    conn = play.session()
    enter_lane(conn)
    early = play.transaction()
    early.execute("savepoint s")
    insert(early)
    early.execute("rollback to savepoint s")
    (job,) = insert(early)
    insert(conn)
    settle(conn)
    assert len(claimed(conn)) == 1
    settle(conn)
    early.commit()
    assert claimed(conn) == [job]


def test_mark_waits_for_the_last_of_its_holders(play: Play) -> None:
    conn = play.session()
    enter_lane(conn)
    early, first = play.open_insert()
    late, second = play.open_insert()
    conn.execute("select pgq.settle()")
    late.commit()
    assert claimed(conn) == [second]
    settle(conn)
    early.commit()
    assert claimed(conn) == [first]


def test_seq_drawn_after_the_look_at_the_holders_is_not_settled(play: Play) -> None:
    conn = play.session()
    enter_lane(conn)
    settler = play.session()
    settler.execute("select pgq.settle()")
    # Stops the settler where it looks for the mark of the last round.
    barrier = play.transaction()
    barrier.execute("lock table pgq.mark in access exclusive mode")
    with in_background(lambda: settler.execute("select pgq.settle()")) as settled:
        wait_for_lock(conn, settler)
        late, job = play.open_insert()
        barrier.commit()
        settled.result()
    settle(conn)
    late.commit()
    assert claimed(conn) == [job]


def test_first_value_of_the_sequence_is_not_settled_before_it_is_drawn(play: Play) -> None:
    conn = play.session()
    enter_lane(conn)
    conn.execute("select pgq.settle()")
    first, job = play.open_insert()
    settle(conn)
    first.commit()
    assert claimed(conn) == [job]


def test_floor_stays_at_the_first_job_that_waits(play: Play) -> None:
    conn = play.session()
    jobs = insert(conn, 3)
    settle(conn)
    assert floor(conn) == seq_of(conn, jobs[0])
    assert claimed(conn) == jobs


def test_floor_passes_jobs_that_are_claimed(play: Play) -> None:
    conn = play.session()
    insert(conn, 3)
    assert len(claimed(conn)) == 3
    settle(conn)
    assert floor(conn) == value(conn, "select last_value + 1 from pgq.ready_seq")


def test_session_draws_no_seq_that_it_has_kept_from_before_the_floor(play: Play) -> None:
    conn, other, patient = play.session(), play.session(), play.session()
    insert(patient)
    insert(other)
    assert len(claimed(conn)) == 2
    settle(conn)
    (job,) = insert(patient)
    assert claimed(conn) == [job]


def test_truncating_ready_loses_no_job(play: Play) -> None:
    conn = play.session()
    (job,) = insert(conn)
    with refused("PQ003"):
        conn.execute("truncate pgq.ready")
    assert claimed(conn) == [job]


def test_truncating_lease_loses_no_job(play: Play) -> None:
    conn = play.session()
    (job,) = insert(conn)
    assert claimed(conn) == [job]
    with refused("PQ003"):
        conn.execute("truncate pgq.lease")
    assert state(conn, job) == "running"


# Isolation --------------------------------------------------------------------------------------


def test_settle_in_repeatable_read_moves_no_floor(play: Play) -> None:
    conn = play.session()
    enter_lane(conn)
    early, job = play.open_insert()
    conn.execute("select pgq.settle()")
    fixed = play.transaction("repeatable read")
    fixed.execute("select 1")
    early.commit()
    # Here the holder is gone, and its rows are not there.
    fixed.execute("select pgq.settle()")
    fixed.commit()
    assert claimed(conn) == [job]


def test_claim_in_repeatable_read_moves_no_floor(play: Play) -> None:
    conn = play.session()
    insert(conn, 4000)
    early, job = play.open_insert()
    conn.execute("select pgq.settle()")
    fixed = play.transaction("repeatable read")
    fixed.execute("select 1")
    early.commit()
    # So many that it is sure to try.
    assert len(claimed(fixed, 4000)) == 4000
    fixed.commit()
    assert claimed(conn) == [job]


def test_claim_in_repeatable_read_gets_no_job_that_was_claimed_since(play: Play) -> None:
    conn = play.session()
    insert(conn)
    fixed = play.transaction("repeatable read")
    fixed.execute("select 1")
    assert len(claimed(conn)) == 1
    with refused("40001"):
        claimed(fixed)


def test_insert_in_repeatable_read_is_found_when_it_commits_late(play: Play) -> None:
    conn = play.session()
    enter_lane(conn)
    fixed = play.transaction("repeatable read")
    fixed.execute("select 1")
    insert(conn)
    settle(conn)
    (job,) = insert(fixed)
    insert(conn)
    assert len(claimed(conn)) == 2
    settle(conn)
    fixed.commit()
    assert claimed(conn) == [job]


# Prepared transactions --------------------------------------------------------------------------


def test_prepared_insert_is_claimed_when_it_commits(play: Play) -> None:
    conn = play.session()
    enter_lane(conn)
    session, job = play.open_insert()
    name = play.prepare(session)
    insert(conn)
    assert len(claimed(conn)) == 1
    settle(conn)
    play.end_prepared(name, "commit")
    settle(conn)
    assert claimed(conn) == [job]


def test_prepared_insert_holds_no_floor_back(play: Play) -> None:
    conn = play.session()
    enter_lane(conn)
    session, _ = play.open_insert()
    play.prepare(session)
    insert(conn)
    assert len(claimed(conn)) == 1
    settle(conn)
    assert floor(conn) == value(conn, "select last_value + 1 from pgq.ready_seq")


def test_prepared_insert_that_rolls_back_leaves_nothing(play: Play) -> None:
    conn = play.session()
    enter_lane(conn)
    session, _ = play.open_insert()
    name = play.prepare(session)
    settle(conn)
    play.end_prepared(name, "rollback")
    settle(conn)
    assert claimed(conn) == []
    assert rows(conn, "select * from pgq.straggler") == []


def test_prepared_insert_that_was_noted_is_claimed_after_a_restart(restartable: Play) -> None:
    conn = restartable.session()
    enter_lane(conn)
    session, job = restartable.open_insert()
    # Noted while it was a session, so by a name that it loses.
    conn.execute("select pgq.settle()")
    name = restartable.prepare(session)
    restartable.restart()
    conn = restartable.session()
    settle(conn)
    assert claimed(conn) == []
    restartable.end_prepared(name, "commit")
    settle(conn)
    assert claimed(conn) == [job]


def test_straggler_that_was_prepared_is_claimed_after_a_restart(restartable: Play) -> None:
    conn = restartable.session()
    enter_lane(conn)
    session, job = restartable.open_insert()
    stray(conn)
    name = restartable.prepare(session)
    conn.execute("select pgq.settle()")
    restartable.restart()
    conn = restartable.session()
    settle(conn)
    restartable.end_prepared(name, "commit")
    settle(conn)
    assert claimed(conn) == [job]


# Stragglers -------------------------------------------------------------------------------------


def test_straggler_holds_no_floor_back(play: Play) -> None:
    conn = play.session()
    enter_lane(conn)
    session, job = play.open_insert()
    stray(conn)
    assert floor(conn) > seq_of(session, job)


def test_straggler_that_commits_is_claimed(play: Play) -> None:
    conn = play.session()
    enter_lane(conn)
    session, job = play.open_insert()
    stray(conn)
    jobs = [job, *insert(session)]
    session.commit()
    settle(conn)
    assert sorted(claimed(conn)) == jobs
    assert rows(conn, "select * from pgq.straggler") == []


def test_straggler_that_rolls_back_leaves_nothing(play: Play) -> None:
    conn = play.session()
    enter_lane(conn)
    session, _ = play.open_insert()
    stray(conn)
    session.rollback()
    settle(conn)
    assert claimed(conn) == []
    assert rows(conn, "select * from pgq.straggler") == []


def test_straggler_that_is_prepared_is_claimed_when_it_commits(play: Play) -> None:
    conn = play.session()
    enter_lane(conn)
    session, job = play.open_insert()
    stray(conn)
    name = play.prepare(session)
    settle(conn)
    play.end_prepared(name, "commit")
    settle(conn)
    assert claimed(conn) == [job]


def test_straggler_that_ends_behind_an_open_settle_is_claimed(play: Play) -> None:
    conn = play.session()
    (first,) = insert(conn)
    session, job = play.open_insert()
    stray(conn)
    # The job that waited held the floor until now: only the open transaction passes the other.
    assert claimed(conn) == [first]
    idle = play.open_settle()
    assert floor(idle) > seq_of(session, job)
    session.commit()
    conn.execute("select pgq.settle()")
    conn.execute("select pgq.settle()")
    idle.commit()
    settle(conn)
    assert claimed(conn) == [job]


def test_straggler_is_claimed_while_another_settle_stays_open(play: Play) -> None:
    conn = play.session()
    enter_lane(conn)
    session, job = play.open_insert()
    stray(conn)
    play.open_settle()
    session.commit()
    settle(conn)
    assert claimed(conn) == [job]


# Open claims ------------------------------------------------------------------------------------


def test_open_claim_holds_no_floor_back(play: Play) -> None:
    conn = play.session()
    insert(conn)
    assert len(claimed(play.transaction())) == 1
    settle(conn)
    assert floor(conn) == value(conn, "select last_value + 1 from pgq.ready_seq")


def test_open_claim_that_rolls_back_is_claimed_by_another(play: Play) -> None:
    conn = play.session()
    (job,) = insert(conn)
    session = play.transaction()
    assert claimed(session) == [job]
    settle(conn)
    session.rollback()
    settle(conn)
    assert claimed(conn) == [job]


def test_open_claim_that_commits_is_forgotten(play: Play) -> None:
    conn = play.session()
    (job,) = insert(conn)
    session = play.transaction()
    assert claimed(session) == [job]
    settle(conn)
    assert column(conn, "select job_id from pgq.passed") == [job]
    session.commit()
    settle(conn)
    assert rows(conn, "select * from pgq.passed") == []
    assert claimed(conn) == []


def test_floor_does_not_pass_a_job_that_waits_behind_an_open_claim(play: Play) -> None:
    conn = play.session()
    first, second = insert(conn, 2)
    assert claimed(play.transaction(), 1) == [first]
    settle(conn)
    assert floor(conn) == seq_of(conn, second)
    assert claimed(conn) == [second]


# The floor of leases ----------------------------------------------------------------------------


def test_lease_of_a_claim_that_committed_late_ends_with_its_worker(play: Play) -> None:
    conn = play.session()
    (job,) = insert(conn)
    worker = register(conn)
    session = play.transaction()
    claim(session, worker=worker)
    # It becomes a straggler, then the cursor passes it.
    for age in ("3 seconds", "1 minute", "1 minute"):
        upkeep_goes_on(conn)
        answer(conn, "reap")
        pass_marks_by(conn, age)
    upkeep_goes_on(conn)
    answer(conn, "reap")
    session.commit()
    for _ in range(2):
        upkeep_goes_on(conn)
        answer(conn, "reap")
    conn.execute("update pgq.worker set expires_at = pgq._clock()")
    upkeep_goes_on(conn)
    answer(conn, "reap")
    assert state(conn, job) == "ready"


def test_lease_is_entered_as_long_however_slow_the_heartbeat(play: Play) -> None:
    conn = play.session()
    conn.execute("select pgq.configure(p_lease => '10 minutes', p_heartbeat => '4 minutes')")
    (job,) = insert(conn)
    claim(conn, worker=register(conn))
    for _ in range(10):
        upkeep_goes_on(conn)
        answer(conn, "reap")
        pass_marks_by(conn, "1 minute")
        repeat_sweep(conn, "trim")
        answer(conn, "prune")
    assert column(conn, "select job_id from pgq.long_lease") == [job]
