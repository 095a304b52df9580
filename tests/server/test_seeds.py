"""The shapes of the systems that this one takes the place of, as their clients speak them."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import httpx
import psycopg
import pytest
from serving import Service, bury, claim, enqueue, problem

import processes

Conn = psycopg.Connection[Any]
Json = dict[str, Any]

MAIL = {
    "type": "email",
    "payload": {"to": "user@example.com", "subject": "Hello"},
    "max_retries": 3,
    "timeout_seconds": 30,
}
COMMAND = {
    "name": "test_job",
    "command": "echo Hello from worker",
    "priority": 1,
    "timeout": 30,
}


def post(api: httpx.Client, path: str, **body: Any) -> Json:
    answer = api.post(path, json=body)
    assert answer.is_success, answer.text
    found: Json = answer.json()
    return found


def status(api: httpx.Client, job: str | int) -> str:
    found: str = api.get(f"/jobs/{job}").json()["status"]
    return found


def test_a_job_is_made_of_type_and_payload(api: httpx.Client, conn: Conn) -> None:
    answer = api.post("/jobs", json=MAIL)
    made = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/jobs/{made['id']}"
    assert set(made) == {
        "id", "type", "status", "retry_count", "max_retries", "timeout_seconds", "created_at",
        "updated_at",
    }  # fmt: skip
    assert isinstance(made["id"], str)
    assert (made["type"], made["status"], made["retry_count"]) == ("email", "PENDING", 0)
    assert (made["max_retries"], made["timeout_seconds"]) == (3, 30)
    assert '"timeout_seconds":30,' in answer.text
    row = conn.execute("select max_attempts, task, queue from pgq.job").fetchone()
    assert row == (4, "email", "default")
    assert api.get(f"/jobs/{made['id']}").json() == made


def test_jobs_are_listed_by_limit_and_offset(api: httpx.Client, conn: Conn) -> None:
    made = [str(enqueue(conn)) for _ in range(5)][::-1]
    listed = [job["id"] for job in api.get("/jobs").json()]
    assert listed == made
    assert [job["id"] for job in api.get("/jobs?limit=2&offset=1").json()] == made[1:3]
    assert api.get("/jobs?offset=5").json() == []


def test_an_offset_reaches_beyond_a_page_of_the_verb(api: httpx.Client, conn: Conn) -> None:
    conn.execute("insert into pgq.job (task) select 'mail' from generate_series(1, 2100)")
    row = conn.execute("select min(id) from pgq.job").fetchone()
    assert row
    listed = api.get("/jobs?limit=3&offset=2097").json()
    assert [int(job["id"]) for job in listed] == [row[0] + 2, row[0] + 1, row[0]]


def test_each_state_has_its_word(api: httpx.Client, conn: Conn) -> None:
    words = {}
    words["scheduled"] = enqueue(conn, queue="later", run_at="2100-01-01")
    words["ready"] = enqueue(conn, queue="idle")
    words["running"] = enqueue(conn, queue="a")
    claim(conn, "a")
    words["retrying"] = enqueue(conn, queue="b")
    ((job, token),) = claim(conn, "b")
    conn.execute("select pgq.fail(%s, %s, p_retry_in => '1 hour')", [job, token])
    words["succeeded"] = enqueue(conn, queue="c")
    ((job, token),) = claim(conn, "c")
    conn.execute("select pgq.complete(%s, %s)", [job, token])
    words["cancelled"] = enqueue(conn, queue="d")
    conn.execute("select pgq.cancel(%s)", [words["cancelled"]])
    words["dead"] = enqueue(conn, queue="e")
    bury(conn, words["dead"], "e")
    assert {state: status(api, job) for state, job in words.items()} == {
        "scheduled": "PENDING",
        "ready": "PENDING",
        "running": "RUNNING",
        "retrying": "RETRYING",
        "succeeded": "SUCCESS",
        "cancelled": "FAILED",
        "dead": "DEAD",
    }


def test_a_worker_runs_jobs_without_keeping_tokens(api: httpx.Client) -> None:
    made = post(api, "/jobs", **MAIL)
    worker = post(api, "/workers/register", name="old", hostname="box")
    assert (worker["name"], worker["status"]) == ("old", "ONLINE")
    job = post(api, "/jobs/next", worker_id=worker["id"])
    assert (job["id"], job["status"], job["payload"]) == (made["id"], "RUNNING", MAIL["payload"])
    done = post(
        api, "/jobs/report", job_id=job["id"], worker_id=worker["id"], status="SUCCESS", result=[1]
    )
    assert done["status"] == "SUCCESS"
    assert done["updated_at"] > done["created_at"]
    assert api.get(f"/api/v1/jobs/{job['id']}/payload").json()["result"] == [1]


def test_there_may_be_no_next_job(api: httpx.Client) -> None:
    answer = api.post("/jobs/next")
    assert (answer.status_code, answer.content) == (204, b"")


def test_a_failed_job_is_retried_until_it_is_dead(api: httpx.Client) -> None:
    made = post(api, "/jobs", type="fail", max_retries=1)
    worker = post(api, "/workers/register")["id"]
    seen = []
    for _ in range(2):
        job = post(api, "/jobs/next", worker_id=worker)
        failed = post(
            api, "/jobs/report", job_id=job["id"], worker_id=worker, status="FAILED", error="no"
        )
        seen.append((failed["status"], failed["retry_count"]))
        if failed["status"] == "RETRYING":
            assert api.post(f"/api/v1/jobs/{made['id']}/run-now").is_success
    assert seen == [("RETRYING", 1), ("DEAD", 1)]
    assert api.get(f"/api/v1/jobs/{made['id']}").json()["message"] == "no"


def test_a_report_of_a_worker_that_lost_the_job_is_refused(api: httpx.Client, conn: Conn) -> None:
    post(api, "/jobs", **MAIL)
    first, second = (post(api, "/workers/register")["id"] for _ in range(2))
    job = post(api, "/jobs/next", worker_id=first)
    conn.execute(
        "select pgq.release(array[%s::bigint], array[%s::uuid])", [job["id"], job["token"]]
    )
    again = post(api, "/jobs/next", worker_id=second)
    assert again["id"] == job["id"]
    report = {"job_id": job["id"], "status": "SUCCESS"}
    late = api.post("/jobs/report", json={**report, "worker_id": first})
    problem(late, 409, "lease-lost")
    problem(api.post("/jobs/report", json={**report, "token": job["token"]}), 409, "lease-lost")
    assert status(api, job["id"]) == "RUNNING"
    assert post(api, "/jobs/report", **report, worker_id=second)["status"] == "SUCCESS"


def test_who_names_no_worker_reports_its_own_job(api: httpx.Client, conn: Conn) -> None:
    post(api, "/jobs", **MAIL)
    job = post(api, "/jobs/next")
    row = conn.execute(
        "select worker, expires_at > pgq._clock() + '35 s' from pgq.lease"
    ).fetchone()
    assert row == (0, True)  # its timeout and some grace, since it sends no heartbeats
    assert post(api, "/jobs/report", job_id=job["id"], status="SUCCESS")["status"] == "SUCCESS"


def test_heartbeats_keep_a_job(api: httpx.Client, conn: Conn) -> None:
    post(api, "/jobs", **MAIL)
    worker = post(api, "/workers/register")["id"]
    job = post(api, "/jobs/next", worker_id=worker)
    conn.execute("update pgq.lease set expires_at = pgq._clock() + '10 seconds'")
    # So old that the heartbeat of a worker that does not list it would give it back.
    conn.execute("update pgq.lease set claimed_at = claimed_at - interval '1 hour'")
    conn.execute(
        "insert into pgq.long_lease (job_id, worker, token, check_at) "
        "select l.job_id, l.worker, l.token, pgq._clock() from pgq.lease l"
    )
    assert post(api, "/workers/heartbeat", worker_id=worker)["status"] == "ONLINE"
    row = conn.execute("select expires_at > pgq._clock() + '20 s' from pgq.lease").fetchone()
    assert row == (True,)
    assert status(api, job["id"]) == "RUNNING"


def test_a_worker_without_heartbeats_is_offline_and_loses_its_job(
    api: httpx.Client, conn: Conn
) -> None:
    post(api, "/jobs", **MAIL)
    worker = post(api, "/workers/register")["id"]
    job = post(api, "/jobs/next", worker_id=worker)
    conn.execute("update pgq.worker set expires_at = pgq._clock()")
    conn.execute("update pgq.lease set expires_at = pgq._clock()")

    processes.wait(lambda: status(api, job["id"]) == "PENDING")
    (told,) = api.get("/workers").json()
    assert (told["id"], told["status"]) == (worker, "OFFLINE")
    problem(api.post("/workers/heartbeat", json={"worker_id": worker}), 409, "worker-expired")
    problem(api.post("/jobs/next", json={"worker_id": worker}), 409, "worker-expired")


def test_a_worker_may_go_by_a_name_of_its_own(api: httpx.Client) -> None:
    name = f"worker-{uuid.uuid4()}"
    post(api, "/workers/register", worker_id=name, queues=["post"], cpus=4)
    assert post(api, "/workers/heartbeat", worker_id=name)["name"] == name
    problem(api.post("/workers/heartbeat", json={"worker_id": "nobody"}), 404, "not-found")
    (worker,) = api.get("/api/v1/workers").json()["items"]
    assert worker["info"]["more"] == {"cpus": 4}


@pytest.mark.parametrize("path", ["/api/v1/jobs", "/submit_job"])
def test_a_command_waits_for_a_worker_that_allows_commands(
    api: httpx.Client, conn: Conn, path: str
) -> None:
    answer = api.post(path, json=COMMAND)
    made = answer.json()
    assert answer.status_code == 201
    assert isinstance(made["id"], str)
    assert (made["name"], made["status"]) == ("test_job", "PENDING")
    found = api.get(f"/api/v1/jobs/{made['id']}").json()
    assert found["id"] == int(made["id"])
    assert (found["task"], found["tags"]) == ("pgq.command", ["test_job"])
    assert (found["priority"], found["timeout_seconds"]) == (1, 30)
    content = api.get(f"/api/v1/jobs/{made['id']}/payload").json()
    assert content["payload"] == {"command": "echo Hello from worker"}


@pytest.mark.parametrize("path", ["/api/v1/jobs", "/submit_job"])
def test_a_job_is_submitted_by_name(api: httpx.Client, path: str) -> None:
    made = post(api, path, name="cpu_intensive", payload="test task")
    found = api.get(f"/api/v1/jobs/{made['id']}").json()
    assert (found["task"], found["state"]) == ("cpu_intensive", "ready")
    content = api.get(f"/api/v1/jobs/{made['id']}/payload").json()
    assert content["payload"] == "test task"


def test_a_body_with_both_task_and_name_is_of_neither_shape(api: httpx.Client) -> None:
    answer = api.post("/api/v1/jobs", json={"task": "mail", "name": "mail"})
    found = problem(answer, 422, "invalid-request")
    assert [error["location"] for error in found["errors"]] == ["body.name"]


@pytest.mark.parametrize(
    ("path", "body", "location"),
    [
        ("/jobs", {}, "body.type"),
        ("/jobs", {**MAIL, "retries": 1}, "body.retries"),
        ("/jobs", {**MAIL, "max_retries": -1}, "body.max_retries"),
        ("/api/v1/jobs", {**COMMAND, "priority": 10}, "body.priority"),
        ("/api/v1/jobs", {**COMMAND, "payload": 1}, "body"),
        ("/jobs/report", {"job_id": "x", "status": "SUCCESS"}, "body.job_id"),
        ("/jobs/report", {"job_id": "7", "status": "done"}, "body.status"),
    ],
    ids=str,
)
def test_a_bad_value_is_located(api: httpx.Client, path: str, body: Json, location: str) -> None:
    found = problem(api.post(path, json=body), 422, "invalid-request")
    assert [error["location"] for error in found["errors"]] == [location]


def test_both_shapes_are_in_the_document(serve: Callable[..., Service]) -> None:
    document = serve().client().get("/openapi.json").json()
    content = document["paths"]["/api/v1/jobs"]["post"]["requestBody"]["content"]
    name = content["application/json"]["schema"]["$ref"].rpartition("/")[2]
    assert document["components"]["schemas"][name]["oneOf"] == [
        {"$ref": "#/components/schemas/NewJob"},
        {"$ref": "#/components/schemas/NamedJob"},
    ]
