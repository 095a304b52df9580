"""Changing jobs, queues and workers."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from serving import Hall, bury, claim, enqueue, problem

JOBS = "/api/v1/jobs"
QUEUES = "/api/v1/queues"


def test_a_waiting_job_is_cancelled_at_once(hall: Hall) -> None:
    job = enqueue(hall.conn)
    assert hall.api.post(f"{JOBS}/{job}/cancel").json()["state"] == "cancelled"


def test_a_running_job_is_asked_to_end(hall: Hall) -> None:
    job = enqueue(hall.conn, queue="asked")
    claim(hall.conn, "asked")
    found = hall.api.post(f"{JOBS}/{job}/cancel", json={}).json()
    assert (found["state"], found["cancel_requested"]) == ("running", True)


def test_a_dead_job_is_tried_again_with_another_payload(hall: Hall) -> None:
    job = enqueue(hall.conn, queue="again")
    bury(hall.conn, job, "again")
    found = hall.api.post(f"{JOBS}/{job}/retry", json={"payload": {"n": 1.10}}).json()
    assert (found["state"], found["attempt"]) == ("ready", 0)
    assert hall.api.get(f"{JOBS}/{job}/payload").json()["payload"] == {"n": 1.1}


def test_what_the_state_does_not_allow_is_a_conflict(hall: Hall) -> None:
    job = enqueue(hall.conn)
    found = problem(hall.api.post(f"{JOBS}/{job}/retry"), 409, "conflict")
    assert str(job) in found["detail"]


def test_a_job_that_somebody_is_moving_is_busy(hall: Hall) -> None:
    job = enqueue(hall.conn, queue="moved")
    with hall.connect() as other:
        other.execute("begin")
        other.execute("select from pgq.cancel(%s)", [job])
        answer = hall.api.post(f"{JOBS}/{job}/cancel")
    problem(answer, 409, "busy")
    assert answer.headers["retry-after"]


def test_a_waiting_job_starts_now(hall: Hall) -> None:
    job = enqueue(hall.conn, run_at="2040-01-01")
    assert hall.api.post(f"{JOBS}/{job}/run-now").json()["state"] == "ready"


def test_a_job_is_changed_before_it_starts(hall: Hall) -> None:
    job = enqueue(hall.conn, queue="edited")
    change = {"payload": None, "priority": 0, "run_at": "2040-01-01T00:00:00Z"}
    found = hall.api.patch(f"{JOBS}/{job}", json=change).json()
    assert (found["state"], found["priority"]) == ("scheduled", 0)
    assert found["run_at"] == "2040-01-01T00:00:00Z"
    assert hall.api.get(f"{JOBS}/{job}/payload").text.startswith('{"payload":null,')


def test_a_change_of_nothing_is_refused(hall: Hall) -> None:
    job = enqueue(hall.conn)
    problem(hall.api.patch(f"{JOBS}/{job}", json={}), 422, "invalid-request")
    problem(hall.api.patch(f"{QUEUES}/edited", json={}), 422, "invalid-request")


def test_a_queue_pauses_and_goes_on(hall: Hall) -> None:
    assert hall.api.post(f"{QUEUES}/halting/pause").json()["paused_at"]
    assert hall.api.post(f"{QUEUES}/halting/pause").json()["paused_at"]
    assert hall.api.post(f"{QUEUES}/halting/resume").json()["paused_at"] is None


def test_a_queues_settings_are_set_and_given_back(hall: Hall) -> None:
    change = {"max_attempts": 2, "timeout_seconds": 1.5}
    found = hall.api.patch(f"{QUEUES}/own", json=change).json()
    assert (found["max_attempts"], found["timeout_seconds"]) == (2, 1.5)
    assert sorted(found["overridden"]) == ["max_attempts", "timeout"]
    found = hall.api.patch(f"{QUEUES}/own", json={"timeout_seconds": None}).json()
    assert (found["max_attempts"], found["timeout_seconds"]) == (2, 600)
    assert found["overridden"] == ["max_attempts"]


def test_an_unknown_queue_is_404(hall: Hall) -> None:
    problem(hall.api.get(f"{QUEUES}/never"), 404, "not-found")


@pytest.mark.parametrize(
    "name", ["a/b", "a b", "%2F", "ünï", "..;", "'; drop table pgq.job; --", "?"]
)
def test_a_queue_may_have_any_name(hall: Hall, name: str) -> None:
    from urllib.parse import quote

    enqueue(hall.conn, queue=name)
    found = hall.api.get(f"{QUEUES}/{quote(name, safe='')}")
    assert (found.status_code, found.json()["queue"], found.json()["ready"]) == (200, name, 1)
    assert [job["queue"] for job in hall.api.get(JOBS, params={"queue": name}).json()["items"]] == [
        name
    ]


def test_an_unchanged_queue_is_not_sent_again(hall: Hall) -> None:
    enqueue(hall.conn, queue="same")
    tag = hall.api.get(f"{QUEUES}/same").headers["etag"]
    again = hall.api.get(f"{QUEUES}/same", headers={"If-None-Match": f'"x", W/{tag}'})
    assert (again.status_code, again.headers["etag"]) == (304, tag)
    enqueue(hall.conn, queue="same")
    assert hall.api.get(f"{QUEUES}/same", headers={"If-None-Match": tag}).status_code == 200


def worker(hall: Hall, *queues: str) -> int:
    row = hall.conn.execute(
        "select worker from pgq.register_worker('anna', %s, 4, '{\"host\": \"here\"}', %s)",
        [list(queues), uuid.uuid4()],
    ).fetchone()
    assert row
    return int(row[0])


def test_workers_are_told_of(hall: Hall) -> None:
    number = worker(hall, "post")
    found = hall.api.get(f"/api/v1/workers/{number}").json()
    assert (found["name"], found["queues"], found["slots"]) == ("anna", ["post"], 4)
    assert found["info"]["host"] == "here"
    assert found in hall.api.get("/api/v1/workers").json()["items"]


def test_an_unknown_worker_is_404(hall: Hall) -> None:
    problem(hall.api.get("/api/v1/workers/999999"), 404, "not-found")


def test_a_jobs_bad_attempts_and_lines_are_told(hall: Hall) -> None:
    job = enqueue(hall.conn, queue="told")
    ((_, token),) = claim(hall.conn, "told")
    hall.conn.execute(
        "select pgq.log(%s, %s, 'first'), pgq.log(%s, %s, 'second')", [job, token] * 2
    )
    hall.conn.execute("select pgq.fail(%s, %s, 'ValueError', 'odd', 'line 1')", [job, token])
    (attempt,) = hall.api.get(f"{JOBS}/{job}/attempts").json()["items"]
    assert (attempt["reason"], attempt["message"], attempt["traceback"]) == (
        "error",
        "odd",
        "line 1",
    )
    lines = hall.api.get(f"{JOBS}/{job}/logs").json()["items"]
    assert [(line["n"], line["message"]) for line in lines] == [(1, "first"), (2, "second")]
    assert [line["n"] for line in hall.api.get(f"{JOBS}/{job}/logs?after=1").json()["items"]] == [2]


@pytest.mark.parametrize("part", ["", "/payload", "/attempts", "/logs", "/explain"])
def test_an_unknown_job_is_404_everywhere(hall: Hall, part: str) -> None:
    problem(hall.api.get(f"{JOBS}/7{part}"), 404, "not-found")


def test_it_is_told_why_a_job_does_not_run(hall: Hall) -> None:
    hall.conn.execute("select pgq.pause('still')")
    job = enqueue(hall.conn, queue="still")
    reasons = [each["reason"] for each in hall.api.get(f"{JOBS}/{job}/explain").json()["items"]]
    assert "queue_paused" in reasons


def test_counts_are_told(hall: Hall) -> None:
    enqueue(hall.conn, queue="counted")
    items: list[dict[str, Any]] = hall.api.get("/api/v1/stats").json()["items"]
    assert any(item["queue"] == "counted" and item["metric"] == "transition" for item in items)
