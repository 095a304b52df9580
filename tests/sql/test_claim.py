"""claim: who gets which jobs, in what order, and what it is told about them."""

from __future__ import annotations

import uuid
from datetime import timedelta
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
    hold,
    hold_all,
    in_background,
    insert,
    lose,
    refused,
    register,
    rows,
    running,
    settle,
    state,
    value,
    wait_for_lock,
)

TOKEN = uuid.UUID(int=1)


def ids(leases: list[dict[str, Any]]) -> list[int]:
    return [each["id"] for each in leases]


def test_lower_priority_numbers_come_first(conn: Conn) -> None:
    inserted = {priority: insert(conn, priority=priority)[0] for priority in (5, 9, 0, 3)}
    assert ids(claim(conn, limits=10)) == [inserted[p] for p in (0, 3, 5, 9)]


def test_first_come_first_served_within_a_priority(conn: Conn) -> None:
    inserted = [insert(conn)[0] for _ in range(5)] + insert(conn, 20)
    assert ids(claim(conn, limits=25)) == inserted


@pytest.mark.parametrize("many", [False, True])
def test_tasks_of_ours_come_to_those_who_ask_for_them(conn: Conn, many: bool) -> None:
    """However they came in: alone, among others, scheduled."""
    with conn.transaction():
        ours = insert(conn, 2 if many else 1, task="pgq.command", priority=0)
        ours += insert(conn, 2 if many else 1, task="pgq.command", run_at="now")
        (later,) = insert(conn, task="pgq.command", run_at="2999-01-01")
        (other,) = insert(conn)
    call(conn, "run_now", id=later)
    assert ids(claim(conn, limits=10)) == [other]
    assert claim(conn, limits=10) == []
    assert set(ids(claim(conn, limits=10, reserved=True))) == {*ours, later}


@pytest.mark.parametrize("way", ["release", "retry", "edit", "lost", "audit"])
def test_task_of_ours_stays_one(conn: Conn, way: str) -> None:
    worker = register(conn)
    lease = running(conn, worker=worker, task="pgq.command")
    match way:
        case "release":
            call(conn, "release", **hold_all(lease))
        case "retry":
            call(conn, "cancel", **hold(lease))
            call(conn, "retry", id=lease["id"])
        case "edit":
            call(conn, "release", **hold_all(lease))
            call(conn, "edit", id=lease["id"], priority=1)
        case "lost":
            lose(conn, worker)
        case "audit":
            conn.execute("delete from pgq.lease")
            answer(conn, "audit_state")
    assert claim(conn) == []
    assert ids(claim(conn, reserved=True)) == [lease["id"]]


def test_tasks_of_ours_and_others_of_one_priority_starve_neither(conn: Conn) -> None:
    insert(conn, 40)
    insert(conn, 40, task="pgq.command")
    taken = {claim_one(conn, reserved=True)["task"] for _ in range(40)}
    assert len(taken) == 2


def test_queues_come_in_the_order_given(conn: Conn) -> None:
    (a,) = insert(conn, queue="a", priority=9)
    (b,) = insert(conn, queue="b", priority=0)
    assert ids(claim(conn, queues=["a", "b"], limits=5)) == [a, b]
    (a,) = insert(conn, queue="a", priority=9)
    (b,) = insert(conn, queue="b", priority=0)
    assert ids(claim(conn, queues=["b", "a"], limits=5)) == [b, a]


def test_limit_is_the_queues_own(conn: Conn) -> None:
    for queue in "abc":
        insert(conn, 5, queue=queue)
    leases = claim(conn, queues=["a", "b", "c"], limits=[2, 0, 4])
    assert [each["queue"] for each in leases] == ["a"] * 2 + ["c"] * 4


def test_a_limit_in_all_cuts_those_of_the_queues(conn: Conn) -> None:
    for queue in "abc":
        insert(conn, 5, queue=queue)
    leases = claim(conn, queues=["a", "b", "c"], limits=[2, 4, 4], limit=5)
    assert [each["queue"] for each in leases] == ["a"] * 2 + ["b"] * 3
    assert value(conn, "select count(*) from pgq.lease") == 5


def test_limit_is_shared_by_the_lanes_of_a_queue(conn: Conn) -> None:
    insert(conn, 3, priority=1)
    insert(conn, 3, priority=2)
    assert [each["priority"] for each in claim(conn, limits=4)] == [1, 1, 1, 2]


def test_lanes_of_many_queues_keep_the_order_of_queues(conn: Conn) -> None:
    expected = []
    for queue in "cab":
        for priority in (7, 2, 4):
            insert(conn, 3, queue=queue, priority=priority)
    for queue, most in (("b", 5), ("c", 9), ("a", 1)):
        expected += [(queue, priority) for priority in (2, 4, 7) for _ in range(3)][:most]
    leases = claim(conn, queues=["b", "c", "a"], limits=[5, 9, 1])
    assert [(each["queue"], each["priority"]) for each in leases] == expected
    assert value(conn, "select count(*) from pgq.lease where first") == 1


def test_claim_locks_no_more_than_it_takes(conn: Conn, dsn: str) -> None:
    for queue in "ab":
        for priority in (2, 4):
            insert(conn, 3, queue=queue, priority=priority)
    with connect(dsn, autocommit=False) as other:
        assert len(claim(other, queues=["a", "b"], limits=[4, 2])) == 6
        assert len(claim(conn, queues=["a", "b"], limits=[9, 9])) == 6
        other.rollback()


def test_what_is_claimed_is_counted_once_a_queue(conn: Conn) -> None:
    for queue in "ab":
        for priority in (2, 4):
            insert(conn, 2, queue=queue, priority=priority)
    claim(conn, queues=["a", "b"], limits=[3, 4])
    counted = conn.execute(
        "select queue, n from pgq.tally where label = 'ready>running' order by queue"
    ).fetchall()
    assert counted == [("a", 3), ("b", 4)]


def test_queue_that_nobody_names_is_left_alone(conn: Conn) -> None:
    insert(conn, queue="other")
    assert claim(conn, limits=10) == []


def test_unknown_queue_has_no_jobs(conn: Conn) -> None:
    assert claim(conn, queues=["never", "seen"], limits=10) == []


def test_paused_queue_is_skipped(conn: Conn) -> None:
    insert(conn, queue="a")
    (b,) = insert(conn, queue="b")
    answer(conn, "pause", queue="a")
    assert ids(claim(conn, queues=["a", "b"], limits=10)) == [b]
    answer(conn, "resume", queue="a")
    assert len(claim(conn, queues=["a", "b"], limits=10)) == 1


def test_job_that_another_transaction_claims_is_skipped(conn: Conn, dsn: str) -> None:
    first, second = insert(conn, 2)
    with connect(dsn, autocommit=False) as other:
        assert ids(claim(other)) == [first]
        assert ids(claim(conn, limits=10)) == [second]
        other.rollback()
    assert ids(claim(conn, limits=10)) == [first]


def test_claimed_job_is_not_claimed_again(conn: Conn) -> None:
    insert(conn, 3)
    assert len(claim(conn, limits=3)) == 3
    assert claim(conn, limits=3) == []


def test_every_job_is_found_behind_a_floor(conn: Conn) -> None:
    inserted = insert(conn, 50)
    claimed = ids(claim(conn, limits=20))
    settle(conn)
    inserted += insert(conn, 5)
    claimed += ids(claim(conn, limits=20))
    settle(conn)
    claimed += ids(claim(conn, limits=20))
    assert claimed == inserted


def test_same_token_gets_the_same_leases_again(conn: Conn) -> None:
    insert(conn, 5)
    first = claim(conn, limits=3, token=TOKEN)
    assert claim(conn, limits=3, token=TOKEN) == first
    assert value(conn, "select count(*) from pgq.lease") == 3


@pytest.mark.parametrize("jobs", [1, 3])
def test_lease_keeps_what_is_known_of_its_job(conn: Conn, jobs: int) -> None:
    inserted = [insert(conn, unique_key=str(n))[0] for n in range(jobs)]
    conn.execute(
        "update pgq.ready set attempt = 2, crashes = 1, unknown_since = '2026-01-01',"
        " due_at = due_at - interval '20 seconds'"
    )
    leases = claim(conn, limits=10, token=TOKEN, executor=3)
    assert [(each["id"], each["attempt"]) for each in leases] == [(job, 3) for job in inserted]
    kept = rows(
        conn,
        "select l.attempt, l.crashes, l.has_key, l.suspect, l.token, l.executor,"
        " l.unknown_since = '2026-01-01' as unknown, l.lane = pgq._lane('default', 5) as in_lane,"
        " l.waited between 20 and 30 as has_waited from pgq.lease l",
    )
    known = {"attempt": 3, "crashes": 1, "has_key": True, "suspect": False}
    held = {"token": TOKEN, "executor": 3, "unknown": True, "in_lane": True, "has_waited": True}
    assert kept == [known | held] * jobs
    assert value(conn, "select count(*) from pgq.lease where first") == 1
    assert value(conn, "select count(*) from pgq.ready") == 0


def test_repeat_gets_the_same_leases_whatever_it_asks_for(conn: Conn) -> None:
    insert(conn, 5)
    first = claim(conn, limits=3, token=TOKEN)
    assert claim(conn, queues=["other"], limits=0, token=TOKEN) == first


def test_repeat_gets_what_is_left_of_its_leases(conn: Conn) -> None:
    insert(conn, 3)
    first = claim(conn, limits=3, token=TOKEN)
    call(conn, "complete", **hold(first[1]))
    assert claim(conn, limits=3, token=TOKEN) == [first[0], first[2]]


def test_repeat_gets_leases_of_many_queues_in_the_same_order(conn: Conn) -> None:
    for queue in "ab":
        for priority in (4, 2):
            insert(conn, 2, queue=queue, priority=priority)
    first = claim(conn, queues=["b", "a"], limits=3, token=TOKEN)
    assert claim(conn, queues=["b", "a"], limits=3, token=TOKEN) == first


def test_claim_that_found_nothing_may_be_repeated_with_its_token(conn: Conn) -> None:
    assert claim(conn, token=TOKEN) == []
    (job,) = insert(conn)
    assert ids(claim(conn, token=TOKEN)) == [job]


def test_claim_that_was_rolled_back_may_be_repeated_with_its_token(conn: Conn, dsn: str) -> None:
    insert(conn)
    with connect(dsn, autocommit=False) as other:
        claim(other, token=TOKEN)
        other.rollback()
    assert len(claim(conn, token=TOKEN)) == 1


def test_repeat_waits_for_the_first_call_and_gets_the_same(conn: Conn, dsn: str) -> None:
    insert(conn, 10)
    with connect(dsn, autocommit=False) as first, connect(dsn) as second:
        leases = claim(first, limits=4, token=TOKEN)
        with in_background(lambda: claim(second, limits=4, token=TOKEN)) as repeat:
            wait_for_lock(conn, second)
            first.commit()
            assert repeat.result() == leases
    assert value(conn, "select count(*) from pgq.lease") == 4


def test_expired_worker_is_refused(conn: Conn) -> None:
    worker = register(conn)
    insert(conn)
    conn.execute("update pgq.worker set expires_at = pgq._clock()")
    with refused("PQ008") as said:
        claim(conn, worker=worker)
    assert f"worker {worker}" in said.message
    assert said.hint
    assert value(conn, "select count(*) from pgq.ready") == 1


def test_expired_worker_is_refused_what_it_repeats(conn: Conn) -> None:
    worker = register(conn)
    insert(conn)
    claim(conn, worker=worker, token=TOKEN)
    conn.execute("update pgq.worker set state = 'offline'")
    with refused("PQ008"):
        claim(conn, worker=worker, token=TOKEN)


@pytest.mark.parametrize("worker", [99, -1, None])
def test_unknown_worker_is_refused(conn: Conn, worker: Any) -> None:
    with refused("PQ008"):
        claim(conn, worker=worker)


def test_unregistered_worker_is_refused(conn: Conn) -> None:
    worker = register(conn)
    call(conn, "heartbeat", worker=worker, ids=[], tokens=[], state="offline")
    with refused("PQ008"):
        claim(conn, worker=worker)


@pytest.mark.parametrize(
    "arguments",
    [
        {"token": None},
        {"executor": None},
        {"limits": [1, 2]},
        {"limits": []},
        {"limits": [-1]},
        {"limits": [None]},
        {"limits": [10_001]},
        {"limit": -1},
        {"lease": "0"},
        {"lease": "-1 second"},
    ],
    ids=str,
)
def test_bad_argument_is_refused(conn: Conn, arguments: dict[str, Any]) -> None:
    insert(conn)
    good = {"worker": 0, "executor": 1, "token": TOKEN, "queues": ["default"], "limits": [1]}
    with refused("PQ005") as said:
        call(conn, "claim", **(good | arguments))
    assert said.detail
    assert said.hint
    assert value(conn, "select count(*) from pgq.ready") == 1


def suspect(conn: Conn, **columns: Any) -> int:
    worker = register(conn, columns.get("queue", "default"))
    job = running(conn, worker=worker, **columns)["id"]
    lose(conn, worker)
    return int(job)


def test_suspect_comes_alone(conn: Conn) -> None:
    job = suspect(conn, queue="b", priority=9)
    insert(conn, 5, queue="a", priority=0)
    (lease,) = claim(conn, queues=["a", "b"], limits=10)
    assert lease["id"] == job
    assert lease["suspect"]
    assert len(claim(conn, queues=["a", "b"], limits=10)) == 5


def test_suspects_come_one_by_one(conn: Conn) -> None:
    suspects = {suspect(conn) for _ in range(3)}
    assert {claim_one(conn, limits=10)["id"] for _ in range(3)} == suspects


def test_suspect_of_a_queue_with_limit_0_is_not_taken(conn: Conn) -> None:
    suspect(conn, queue="b")
    (job,) = insert(conn, queue="a")
    assert ids(claim(conn, queues=["a", "b"], limits=[5, 0])) == [job]


def test_suspects_are_left_to_others_when_asked_for_none(conn: Conn) -> None:
    suspect(conn)
    others = insert(conn, 2)
    assert ids(claim(conn, limits=5, suspects=False)) == others


def test_only_suspects_are_taken_when_asked_for(conn: Conn) -> None:
    job = suspect(conn)
    insert(conn, 2)
    assert ids(claim(conn, limits=5, suspects=True)) == [job]
    assert claim(conn, limits=5, suspects=True) == []


def test_suspect_of_a_paused_queue_is_skipped(conn: Conn) -> None:
    suspect(conn)
    answer(conn, "pause", queue="default")
    assert claim(conn, suspects=True) == []


def test_repeat_of_a_suspect_is_the_suspect_alone(conn: Conn) -> None:
    job = suspect(conn)
    insert(conn, 2)
    claim(conn, limits=5, token=TOKEN)
    assert ids(claim(conn, limits=5, token=TOKEN)) == [job]


def test_worker_with_a_heartbeat_gets_leases_without_expiry(conn: Conn) -> None:
    assert running(conn, worker=register(conn))["expires_at"] is None


def test_worker_0_gets_leases_that_expire_by_themselves(conn: Conn) -> None:
    clock = value(conn, "select pgq._clock()")
    assert running(conn)["expires_at"] == clock + timedelta(seconds=15)


@pytest.mark.parametrize("heartbeat", [True, False])
def test_lease_that_was_asked_for_carries_its_expiry(conn: Conn, heartbeat: bool) -> None:
    insert(conn)
    worker = register(conn) if heartbeat else 0
    clock = value(conn, "select pgq._clock()")
    lease = claim_one(conn, worker=worker, lease="90 seconds")
    assert lease["expires_at"] == clock + timedelta(seconds=90)


def test_job_says_its_own_policy(conn: Conn) -> None:
    call(conn, "configure_queue", queue="default", max_attempts=7, timeout="7 seconds")
    lease = running(conn, max_attempts=3, timeout="3 seconds")
    assert (lease["max_attempts"], lease["timeout"]) == (3, timedelta(seconds=3))


def test_queue_says_the_policy_of_jobs_without_one(conn: Conn) -> None:
    call(conn, "configure", max_attempts=9, timeout="9 seconds")
    call(conn, "configure_queue", queue="default", max_attempts=7, timeout="7 seconds")
    lease = running(conn)
    assert (lease["max_attempts"], lease["timeout"]) == (7, timedelta(seconds=7))


def test_service_says_the_policy_of_queues_without_one(conn: Conn) -> None:
    lease = running(conn)
    assert (lease["max_attempts"], lease["timeout"]) == (5, timedelta(minutes=10))
    call(conn, "configure", max_attempts=9, timeout="9 seconds")
    lease = running(conn)
    assert (lease["max_attempts"], lease["timeout"]) == (9, timedelta(seconds=9))


def test_claim_tells_what_the_caller_asked_for(conn: Conn) -> None:
    lease = running(conn, headers='{"h": 1}', payload="[1]", priority=2, queue="q")
    created = value(conn, "select created_at from pgq.job")
    assert (lease["headers"], lease["payload"]) == ({"h": 1}, [1])
    assert (lease["priority"], lease["queue"], lease["created_at"]) == (2, "q", created)
    assert lease["claimed_at"] >= created


def test_claim_of_large_payloads_writes_no_temporary_file(conn: Conn) -> None:
    conn.execute(
        "insert into pgq.job (task, payload) "
        "select 'echo', json_build_array(repeat('x', 20000)) from generate_series(1, 500)"
    )
    plan = value(
        conn,
        "explain (analyze, buffers, format json) select c.payload from pgq.claim(p_worker => 0, "
        "p_executor => 0, p_token => %s, p_queues => '{default}', p_limits => '{500}') c",
        [TOKEN],
    )[0]["Plan"]
    assert (plan["Actual Rows"], plan["Temp Written Blocks"]) == (500, 0)


def test_jobs_of_several_days_come_in_their_order(conn: Conn) -> None:
    today = value(conn, "select pgq._today()")
    wanted = [(today + day << 32) + 10 for day in (5, 2, 7, 0, 2)]
    wanted[4] += 1
    for job in wanted:
        conn.execute("insert into pgq.job (id, task) values (%s, 'echo')", [job])
    first = claim(conn, limits=10, token=TOKEN)
    assert ids(first) == wanted
    assert claim(conn, limits=10, token=TOKEN) == first


def test_duplicate_lanes_give_no_job_twice(conn: Conn, dsn: str) -> None:
    with connect(dsn, autocommit=False) as other:
        insert(other)
        insert(conn)
        other.commit()
    assert value(conn, "select count(*) from pgq.lane") == 2
    assert len(claim(conn, limits=10)) == 2
    assert value(conn, "select sum(n) from pgq.tally where label = 'ready>running'") == 2


def test_queue_named_twice_gives_no_job_twice(conn: Conn) -> None:
    inserted = insert(conn, 3)
    assert sorted(ids(claim(conn, queues=["default", "default"], limits=2))) == inserted


def test_lease_is_written_down_with_its_claimer(conn: Conn) -> None:
    worker = register(conn)
    insert(conn, 2)
    claim(conn, worker=worker, executor=7, token=TOKEN, limits=2)
    leases = rows(conn, "select * from pgq.lease order by seq")
    assert [(each["worker"], each["executor"], each["token"]) for each in leases] == [
        (worker, 7, TOKEN)
    ] * 2
    assert [each["first"] for each in leases] == [True, False]


def test_claims_move_floors_by_themselves(conn: Conn) -> None:
    """Whoever has claimed thousands of jobs moves the floors, without upkeep."""
    for _ in range(4):
        insert(conn, 10_000)
        conn.execute("update pgq.floor set at = at - interval '1 minute'")
        assert len(claim(conn, limits=10_000)) == 10_000
    assert value(conn, "select max(floor) from pgq.floor") > 10_000


def test_claim_does_not_wait_for_who_moves_floors(conn: Conn, dsn: str) -> None:
    insert(conn, 10_000)
    conn.execute("set lock_timeout = '1ms'")
    with connect(dsn) as other:
        other.execute("select pg_advisory_lock(1885827428, hashtext('settle'))")
        assert len(claim(conn, limits=10_000)) == 10_000


def test_jobs_that_end_are_not_in_hand_any_more(conn: Conn) -> None:
    insert(conn, 4)
    leases = claim(conn, limits=4, token=TOKEN)
    call(conn, "complete", **hold(leases[0]))
    call(conn, "fail", **hold(leases[1]))
    call(conn, "release", **hold_all(leases[2]))
    call(conn, "snooze", **hold(leases[3]), delay="1 hour")
    assert [state(conn, each["id"]) for each in leases] == [
        "succeeded",
        "retrying",
        "ready",
        "scheduled",
    ]
    assert column(conn, "select job_id from pgq.lease") == []
