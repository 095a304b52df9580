"""Looking at jobs and queues."""

from __future__ import annotations

from typing import Any

import httpx
import psycopg
from serving import problem

Conn = psycopg.Connection[Any]


def enqueue(conn: Conn, task: str = "mail", **columns: Any) -> int:
    names = ["task", *columns]
    row = conn.execute(
        f"insert into pgq.job ({', '.join(names)}) values ({', '.join(['%s'] * len(names))}) "
        "returning id",
        [task, *columns.values()],
    ).fetchone()
    assert row
    return int(row[0])


def test_a_job_is_told_of(api: httpx.Client, conn: Conn) -> None:
    job = enqueue(conn, queue="post", priority=3, tags=["a"])
    found = api.get(f"/api/v1/jobs/{job}").json()
    assert found["id"] == job
    assert (found["task"], found["queue"], found["priority"]) == ("mail", "post", 3)
    assert (found["state"], found["tags"], found["timeout_seconds"]) == ("ready", ["a"], 600)
    assert found["created_at"].endswith("Z")


def test_a_job_that_is_unknown_is_404(api: httpx.Client) -> None:
    problem(api.get("/api/v1/jobs/7"), 404, "not-found")


def test_an_unchanged_job_is_not_sent_again(api: httpx.Client, conn: Conn) -> None:
    job = enqueue(conn)
    first = api.get(f"/api/v1/jobs/{job}")
    again = api.get(f"/api/v1/jobs/{job}", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    conn.execute("select pgq.cancel(%s)", [job])
    changed = api.get(f"/api/v1/jobs/{job}", headers={"If-None-Match": first.headers["etag"]})
    assert (changed.status_code, changed.json()["state"]) == (200, "cancelled")


def test_queues_are_listed(api: httpx.Client, conn: Conn) -> None:
    enqueue(conn, queue="post")
    (found,) = api.get("/api/v1/queues").json()["items"]
    assert (found["queue"], found["ready"]) == ("post", 1)


def test_an_id_that_is_no_number_is_located(api: httpx.Client) -> None:
    found = problem(api.get("/api/v1/jobs/x"), 422, "invalid-request")
    assert [error["location"] for error in found["errors"]] == ["path.id"]


def test_an_unknown_parameter_is_refused(api: httpx.Client) -> None:
    found = problem(api.get("/api/v1/queues?colour=red"), 422, "invalid-request")
    (error,) = found["errors"]
    assert error["location"] == "query.colour"
    assert error["message"].startswith("unknown; expected")
