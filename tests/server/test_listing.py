"""Lists: filters, cursors, totals."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import psycopg
import pytest
from serving import Hall, bury, enqueue, problem

from pgq_server import app
from pgq_server.api import jobs
from pgq_server.settings import Settings

JOBS = "/api/v1/jobs"
DEAD = "/api/v1/dead"


def walked(hall: Hall, list_: str, **query: Any) -> list[int]:
    """Ids of all pages."""
    found: list[int] = []
    cursor: str | None = None
    while True:
        page = hall.api.get(list_, params={**query, **({"cursor": cursor} if cursor else {})})
        assert page.status_code == 200, page.text
        found += [item["id"] for item in page.json()["items"]]
        cursor = page.json()["next"]
        if cursor is None:
            return found


@pytest.mark.parametrize("limit", [1, 3, 6, 7, 1000])
def test_pages_join_into_the_whole_list(hall: Hall, limit: int) -> None:
    queue = f"paged {limit}"
    jobs = [enqueue(hall.conn, queue=queue) for _ in range(6)]
    assert walked(hall, JOBS, queue=queue, limit=limit) == jobs[::-1]
    assert walked(hall, JOBS, queue=queue, limit=limit, order="oldest") == jobs


def test_jobs_that_come_meanwhile_move_no_page(hall: Hall) -> None:
    jobs = [enqueue(hall.conn, queue="moving") for _ in range(4)]
    first = hall.api.get(JOBS, params={"queue": "moving", "limit": 2}).json()
    enqueue(hall.conn, queue="moving")
    second = hall.api.get(
        JOBS, params={"queue": "moving", "limit": 2, "cursor": first["next"]}
    ).json()
    assert [item["id"] for item in first["items"] + second["items"]] == jobs[::-1]


def test_a_total_is_capped(hall: Hall) -> None:
    for _ in range(3):
        enqueue(hall.conn, queue="few")
    found = hall.api.get(JOBS, params={"queue": "few", "total": "true", "limit": 1}).json()
    assert found["total"] == {"n": 3, "capped": False}
    hall.conn.execute(
        "insert into pgq.job (task, queue) select 'mail', 'lots' from generate_series(1, 10001)"
    )
    query = {"queue": "lots", "state": "ready", "total": "true", "limit": 1}
    found = hall.api.get(JOBS, params=query).json()
    assert found["total"] == {"n": 10_000, "capped": True}


@pytest.mark.anyio
async def test_a_count_that_had_no_time_to_end_says_so(
    dsn: str, conn: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "COUNTING", timedelta(0))
    for _ in range(3):
        enqueue(conn)
    application = app.create(Settings(dsn=dsn))
    transport = httpx.ASGITransport(application, client=("127.0.0.1", 1))
    async with (
        application.router.lifespan_context(application),
        httpx.AsyncClient(transport=transport, base_url="http://localhost") as api,
    ):
        found = (await api.get(JOBS, params={"total": "true"})).json()
    assert found["total"] == {"n": 1, "capped": True}
    assert len(found["items"]) == 3


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"state": "scheduled"}, "later"),
        ({"task": "odd"}, "odd"),
        ({"tag": "red"}, "tagged"),
        ({"payload": "user.id:42"}, "paid"),
        ({"created_before": "2000-01-01T00:00:00Z"}, None),
    ],
)
def test_jobs_are_found_by_what_they_are(
    hall: Hall, query: dict[str, Any], expected: str | None
) -> None:
    jobs = {
        "later": enqueue(hall.conn, queue="found", run_at="2040-01-01"),
        "odd": enqueue(hall.conn, "odd", queue="found"),
        "tagged": enqueue(hall.conn, queue="found", tags=["red"]),
        "paid": enqueue(hall.conn, queue="found", payload='{"user": {"id": 42}}'),
    }
    found = set(walked(hall, JOBS, queue="found", **query))
    assert found & set(jobs.values()) == ({jobs[expected]} if expected else set())


@pytest.mark.parametrize(
    ("query", "location"),
    [
        ({"limit": "0"}, "query.limit"),
        ({"limit": "1001"}, "query.limit"),
        ({"limit": "1_0"}, "query.limit"),
        ({"limit": ""}, "query.limit"),
        ({"state": "asleep"}, "query.state"),
        ({"cursor": "nonsense"}, "query.cursor"),
        ({"cursor": "AAAAAAAAAAB"}, "query.cursor"),
        ({"queue": "a\0b"}, "query.queue"),
        ({"colour": "red"}, "query.colour"),
        ({"limit": ["1", "2"]}, "query.limit"),
        ({"payload": "a"}, "query.payload"),
        ({"created_after": "yesterday"}, "query.created_after"),
        ({"worker": "99999999999999999999"}, "query.worker"),
        ({"total": "yes"}, "query.total"),
    ],
)
def test_a_bad_parameter_is_located(hall: Hall, query: dict[str, Any], location: str) -> None:
    found = problem(hall.api.get(JOBS, params=query), 422, "invalid-request")
    assert [error["location"] for error in found["errors"]] == [location]


def test_dead_letters_are_listed_page_by_page(hall: Hall) -> None:
    jobs = []
    for _ in range(3):
        jobs.append(enqueue(hall.conn, queue="buried"))
        bury(hall.conn, jobs[-1], "buried")
    assert walked(hall, DEAD, queue="buried", limit=2) == jobs[::-1]
    (letter, *_) = hall.api.get(DEAD, params={"queue": "buried"}).json()["items"]
    assert (letter["error_class"], letter["message"]) == ("ValueError", "no such user")
    assert walked(hall, DEAD, queue="buried", fingerprint=letter["fingerprint"]) == jobs[::-1]
    assert walked(hall, DEAD, queue="buried", fingerprint="other") == []


def test_a_cursor_that_is_none_is_told_where_to_get_one(hall: Hall) -> None:
    found = problem(hall.api.get(JOBS, params={"cursor": "nonsense"}), 422, "invalid-request")
    assert "`next` of an earlier answer" in found["detail"]
