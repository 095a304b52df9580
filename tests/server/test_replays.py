"""Requests with an idempotency key."""

from __future__ import annotations

import threading
from typing import Any
from uuid import uuid4

import httpx
import pytest
from serving import Hall, problem, token

import processes
from pgq_server.route import API
from pgq_server.routes import TABLE

JOBS = "/api/v1/jobs"


@pytest.fixture
def key() -> dict[str, str]:
    return {"Idempotency-Key": str(uuid4())}


def made(hall: Hall, task: str) -> int:
    row = hall.conn.execute("select count(*) from pgq.job where task = %s", [task]).fetchone()
    assert row
    return int(row[0])


def test_the_same_request_gets_the_first_answer_again(hall: Hall, key: dict[str, str]) -> None:
    first = hall.api.post(JOBS, json={"task": "once"}, headers=key)
    again = hall.api.post(JOBS, json={"task": "once"}, headers=key)
    assert (again.status_code, again.content) == (201, first.content)
    assert again.headers["location"] == first.headers["location"]
    assert again.headers["content-type"] == first.headers["content-type"]
    assert (first.headers.get("idempotency-replayed"), again.headers["idempotency-replayed"]) == (
        None,
        "true",
    )
    assert made(hall, "once") == 1


def test_another_request_with_the_same_key_is_refused(hall: Hall, key: dict[str, str]) -> None:
    hall.api.post(JOBS, json={"task": "first"}, headers=key)
    other = hall.api.post(JOBS, json={"task": "second"}, headers=key)
    problem(other, 422, "key-reused")
    elsewhere = hall.api.post(f"{JOBS}/batch", json={"jobs": [{"task": "second"}]}, headers=key)
    problem(elsewhere, 422, "key-reused")
    assert made(hall, "second") == 0


def test_a_request_that_is_being_worked_on_is_not_begun_again(
    hall: Hall, key: dict[str, str]
) -> None:
    job = {"task": "slow", "unique_key": "slow"}
    with hall.connect() as other:
        other.execute("begin")
        other.execute("select pgq.enqueue('slow', p_unique_key => 'slow')")
        answers: list[httpx.Response] = []
        client = hall.service.client()
        first = threading.Thread(
            target=lambda: answers.append(client.post(JOBS, json=job, headers=key))
        )
        first.start()
        processes.wait(lambda: _is_waiting(hall))
        problem(hall.api.post(JOBS, json=job, headers=key), 409, "in-progress")
        other.execute("rollback")
        first.join()
    assert answers[0].status_code == 201
    again = hall.api.post(JOBS, json=job, headers=key)
    assert again.content == answers[0].content


def _is_waiting(hall: Hall) -> bool:
    query = (
        "select from pg_stat_activity "
        "where wait_event_type = 'Lock' and datname = current_database()"
    )
    return bool(hall.conn.execute(query).fetchall())


def test_a_refused_request_may_be_corrected_and_sent_again(hall: Hall, key: dict[str, str]) -> None:
    problem(hall.api.post(JOBS, json={"task": ""}, headers=key), 422, "invalid-request")
    hall.conn.execute("select pgq.configure_queue('slim', p_payload_limit => 10)")
    large = {"task": "slim", "queue": "slim", "payload": "0123456789"}
    problem(hall.api.post(JOBS, json=large, headers=key), 422, "invalid-request")
    small = {**large, "payload": 1}
    assert hall.api.post(JOBS, json=small, headers=key).status_code == 201


def test_a_batch_is_made_once(hall: Hall, key: dict[str, str]) -> None:
    jobs = {"jobs": [{"task": "twice"}, {"task": "twice"}]}
    answers = [hall.api.post(f"{JOBS}/batch", json=jobs, headers=key).json() for _ in range(3)]
    assert answers[0] == answers[1] == answers[2]
    assert made(hall, "twice") == 2


def test_a_change_is_made_once(hall: Hall, key: dict[str, str]) -> None:
    first = hall.api.post("/api/v1/queues/turn/pause", headers=key)
    hall.conn.execute("select pgq.resume('turn')")
    again = hall.api.post("/api/v1/queues/turn/pause", headers=key)
    assert again.content == first.content
    assert hall.api.get("/api/v1/queues/turn").json()["paused_at"] is None


@pytest.mark.parametrize("bad", ["", "a b", "x" * 256, "ü".encode("latin-1")])
def test_a_key_that_makes_no_sense_is_refused(hall: Hall, bad: Any) -> None:
    answer = hall.api.post(JOBS, json={"task": "x"}, headers={"Idempotency-Key": bad})
    found = problem(answer, 422, "invalid-request")
    assert found["errors"][0]["location"] == "header.Idempotency-Key"


def test_keys_of_one_token_are_not_those_of_another(guarded: Hall, key: dict[str, str]) -> None:
    first, second = (guarded.service.client(token(guarded.conn, "enqueue")) for _ in range(2))
    one = first.post(JOBS, json={"task": "ours"}, headers=key).json()
    other = second.post(JOBS, json={"task": "theirs"}, headers=key).json()
    assert one["id"] != other["id"]


def test_what_changes_something_takes_a_key() -> None:
    without = {
        route.path
        for route in TABLE
        if route.method != "GET"
        and route.path.startswith(API)
        and not route.idempotent
        and route.tag != "leases"
    }
    assert without == set()


def test_refusals_leave_the_sessions_with_the_database_as_they_were(hall: Hall) -> None:
    def pause() -> None:
        key = {"Idempotency-Key": str(uuid4())}
        answer = hall.api.post("/api/v1/queues/again/pause", headers=key)
        assert answer.status_code == 200, answer.text

    for _ in range(3):
        pause()
    key = {"Idempotency-Key": str(uuid4())}
    problem(hall.api.post(f"{JOBS}/7/run-now", headers=key), 404, "not-found")
    pause()
