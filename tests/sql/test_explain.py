from __future__ import annotations

import json

import pytest

from sql.states import STATES, assert_refuses_unknown_jobs, job_in
from sql.support import (
    Conn,
    acting,
    answer,
    call,
    claim,
    claim_one,
    connect,
    hold,
    hold_all,
    insert,
    move_clock,
    register,
    running,
    settle,
)


def explain(conn: Conn, job: int) -> dict[str, str]:
    found = call(conn, "explain", id=job)
    assert all(each["detail"] for each in found)
    reasons = {each["reason"]: each["detail"] for each in found}
    assert len(reasons) == len(found) > 0
    return reasons


@pytest.mark.parametrize(
    ("wanted", "reasons"),
    [
        ("scheduled", {"scheduled"}),
        ("ready", {"ready"}),
        ("running", {"running"}),
        ("retrying", {"retrying"}),
        ("succeeded", {"finished"}),
        ("cancelled", {"finished"}),
        ("dead", {"dead"}),
    ],
)
def test_job_in_each_state_has_its_reason_alone(conn: Conn, wanted: str, reasons: set[str]) -> None:
    register(conn)
    assert explain(conn, job_in(conn, wanted)).keys() == reasons


def test_unknown_job_is_refused(conn: Conn) -> None:
    assert_refuses_unknown_jobs(conn, "explain")


@pytest.mark.parametrize("waiting", ["scheduled", "ready", "retrying"])
def test_waiting_job_tells_that_its_queue_is_paused(conn: Conn, waiting: str) -> None:
    job = job_in(conn, waiting)
    assert "queue_paused" not in explain(conn, job)
    answer(conn, "pause", queue="default")
    assert "default" in explain(conn, job)["queue_paused"]


@pytest.mark.parametrize("done", sorted(set(STATES) - {"scheduled", "ready", "retrying"}))
def test_pause_is_no_reason_for_what_runs_or_has_ended(conn: Conn, done: str) -> None:
    job = job_in(conn, done)
    answer(conn, "pause", queue="default")
    assert "queue_paused" not in explain(conn, job)


def test_no_live_worker_takes_the_queue(conn: Conn) -> None:
    job = job_in(conn, "ready")
    register(conn, "other")
    assert "default" in explain(conn, job)["no_worker"]
    register(conn, "default")
    assert "no_worker" not in explain(conn, job)
    move_clock(conn, "1 hour")
    assert "no_worker" in explain(conn, job)


def test_all_workers_are_busy(conn: Conn) -> None:
    job = job_in(conn, "ready")
    worker = register(conn, slots=2)
    assert "no_slots" not in explain(conn, job)
    call(conn, "heartbeat", worker=worker, ids=[], tokens=[], busy=2, state="busy")
    assert "no_slots" in explain(conn, job)


def test_jobs_ahead_are_counted_as_claim_would_take_them(conn: Conn) -> None:
    insert(conn, 3)
    insert(conn, 2, priority=9)
    insert(conn, 4, queue="other")
    (job,) = insert(conn)
    insert(conn, 2, priority=1)
    insert(conn, 5)
    assert explain(conn, job)["behind"].startswith("5 jobs")
    assert "2 of them" in explain(conn, job)["behind"]
    assert job not in [each["id"] for each in claim(conn, limits=5)]
    assert "behind" not in explain(conn, job)
    assert claim_one(conn)["id"] == job


def test_rows_that_were_claimed_are_not_ahead(conn: Conn) -> None:
    insert(conn, 3)
    (job,) = insert(conn)
    claim(conn, limits=2)
    settle(conn)
    assert explain(conn, job)["behind"].startswith("1 job ")


def test_many_jobs_ahead_are_not_counted_to_the_end(conn: Conn) -> None:
    insert(conn, 10_500)
    (job,) = insert(conn)
    assert explain(conn, job)["behind"].startswith("10,000+ jobs")


def test_running_job_names_its_worker(conn: Conn) -> None:
    worker = register(conn, name="box-1")
    lease = running(conn, worker=worker)
    told = explain(conn, lease["id"])["running"]
    assert "box-1" in told
    assert "attempt 1" in told


def test_request_to_cancel_is_told(conn: Conn) -> None:
    lease = running(conn)
    answer(conn, "cancel", id=lease["id"])
    answer(conn, "cancel", id=lease["id"])
    assert explain(conn, lease["id"]).keys() == {"running", "cancel_requested"}


def test_retrying_tells_the_error(conn: Conn) -> None:
    told = explain(conn, job_in(conn, "retrying"))["retrying"]
    assert "Boom" in told
    assert "attempt 1" in told


def test_dead_tells_the_error(conn: Conn) -> None:
    told = explain(conn, job_in(conn, "dead", max_attempts=1))["dead"]
    assert "error after 1 attempt at" in told
    assert "Boom" in told


def test_snoozed_is_told_from_scheduled(conn: Conn) -> None:
    register(conn)
    lease = running(conn)
    answer(conn, "snooze", **hold(lease), delay="1 hour")
    assert explain(conn, lease["id"]).keys() == {"snoozed"}


def test_unknown_task_is_named(conn: Conn) -> None:
    register(conn)
    lease = running(conn, task="misspelt")
    call(conn, "decline", **hold_all(lease))
    reasons = explain(conn, lease["id"])
    assert reasons.keys() == {"unknown_task"}
    assert "misspelt" in reasons["unknown_task"]
    assert "dead letter from" in reasons["unknown_task"]


def test_task_of_ours_is_promised_no_death(conn: Conn) -> None:
    register(conn)
    lease = running(conn, task="pgq.command")
    call(conn, "decline", **hold_all(lease))
    assert "dead letter" not in explain(conn, lease["id"])["unknown_task"]


def test_task_of_ours_waits_for_a_worker_that_knows_it(conn: Conn) -> None:
    (job,) = insert(conn, task="pgq.command")
    register_tasks(conn, "*", "pgq.other")
    assert "pgq.command" in explain(conn, job)["no_worker"]
    register_tasks(conn, "pgq.command")
    assert explain(conn, job).keys() == {"ready"}


def test_job_of_another_task_is_not_behind_those_of_ours(conn: Conn) -> None:
    register(conn)
    insert(conn, task="pgq.command", priority=0)
    (job,) = insert(conn)
    assert explain(conn, job).keys() == {"ready"}


def register_tasks(conn: Conn, *tasks: str) -> None:
    info = json.dumps({"tasks": dict.fromkeys(tasks)})
    call(conn, "register_worker", name="w", queues=["default"], slots=1, info=info)


def test_due_job_waits_for_upkeep(conn: Conn) -> None:
    job = job_in(conn, "scheduled")
    conn.execute("update pgq.delayed set run_at = now() - interval '1 second'")
    assert "due" in explain(conn, job)
    answer(conn, "promote")
    assert "due" not in explain(conn, job)


def test_suspect_is_told(conn: Conn) -> None:
    worker = register(conn)
    lease = running(conn, worker=worker)
    call(conn, "release_executor", worker=worker, executor=1, begun=[lease["id"]])
    assert "0 of 3" in explain(conn, lease["id"])["suspect"]


def test_job_below_its_floor_is_told(conn: Conn, dsn: str) -> None:
    (job,) = insert(conn)
    conn.execute("insert into pgq.floor (lane, floor) select r.lane, r.seq + 1 from pgq.ready r")
    assert claim(conn) == []
    assert "below_floor" in explain(conn, job)


def test_job_in_no_state_is_damaged(conn: Conn) -> None:
    job = job_in(conn, "ready")
    conn.execute("delete from pgq.ready")
    assert explain(conn, job).keys() == {"damaged"}


def test_viewer_may_ask(conn: Conn, dsn: str) -> None:
    job = job_in(conn, "ready")
    with connect(dsn) as viewer, acting(viewer, "pgq_viewer"):
        assert viewer.execute("select reason from pgq.explain(%s)", [job]).fetchall()
