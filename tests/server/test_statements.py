"""How many SQL statements an answer takes: a fixed number, however much there is to tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest
from serving import bury, claim, enqueue

from pgq_server import app, gateway
from pgq_server.gateway import Row, Session, Verb
from pgq_server.route import API, EVENTS, Route
from pgq_server.routes import TABLE
from pgq_server.settings import Settings

STATEMENTS = {
    "GET /readyz": 1,
    "GET /healthz": 0,
    "GET /openapi.json": 0,
    "GET /docs": 0,
    f"GET {API}/jobs": 1,
    f"GET {API}/jobs/{{id}}": 1,
    f"GET {API}/jobs/{{id}}/payload": 1,
    f"GET {API}/jobs/{{id}}/attempts": 2,
    f"GET {API}/jobs/{{id}}/logs": 2,
    f"GET {API}/jobs/{{id}}/events": 1,
    f"GET {API}/jobs/{{id}}/explain": 1,
    f"GET {API}/queues": 1,
    f"GET {API}/queues/{{queue}}": 1,
    f"GET {API}/workers": 1,
    f"GET {API}/workers/{{id}}": 1,
    f"GET {API}/tasks": 1,
    f"GET {API}/dead": 1,
    f"GET {API}/dead/groups": 1,
    f"GET {API}/operations": 1,
    f"GET {API}/operations/{{id}}": 1,
    f"GET {API}/stats": 1,
    f"GET {API}/samples": 1,
    "GET /metrics": 2,
    "GET /jobs": 2,
    "GET /jobs/{id}": 1,
    "GET /workers": 1,
}
"""By route; a list with `total` takes one more."""
READING = [
    route
    for route in TABLE
    if route.method == "GET"
    and not route.path.startswith("/ui")
    and route.path != "/"
    and route.media != EVENTS
]


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Counts statements by verb."""
    counts: Counter[str] = Counter()
    batch = gateway._batch

    async def counting(session: Session, verbs: tuple[Verb, ...]) -> list[list[Row]]:
        counts.update(each.name for each in verbs)
        return await batch(session, verbs)

    monkeypatch.setattr(gateway, "_batch", counting)
    return counts


@asynccontextmanager
async def client(dsn: str) -> AsyncIterator[httpx.AsyncClient]:
    application = app.create(Settings(dsn=dsn))
    async with application.router.lifespan_context(application):
        transport = httpx.ASGITransport(application, client=("127.0.0.1", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as opened:
            yield opened


def fill(conn: psycopg.Connection[Any], n: int) -> dict[str, str]:
    """Make n of everything; the parameters of paths to the last."""
    for number in range(n):
        job = enqueue(conn, queue=f"queue {number}")
        ((_, lease),) = claim(conn, f"queue {number}")
        conn.execute("select pgq.log(%s, %s, 'x') from generate_series(1, %s)", [job, lease, n])
        conn.execute("select pgq.release(array[%s], array[%s]::uuid[], array[true])", [job, lease])
        bury(conn, job, f"queue {number}", f"kind {'x' * number}")
        row = conn.execute(
            "select worker from pgq.register_worker('w', array['a'], 1, '{}', %s)", [uuid4()]
        ).fetchone()
        conn.execute("select pgq.start_operation('cancel', p_ids => array[1])")
    conn.execute("select pgq.sample()")
    assert row
    return {"id": str(job), "queue": f"queue {number}", "worker": str(row[0])}


@pytest.mark.anyio
@pytest.mark.parametrize("route", READING, ids=[f"{r.method} {r.path}" for r in READING])
async def test_an_answer_takes_a_fixed_number_of_statements(
    dsn: str, conn: psycopg.Connection[Any], counted: Counter[str], route: Route
) -> None:
    async with client(dsn) as api:
        for more in (1, 7):
            names = fill(conn, more)
            if "worker" in route.path:
                names["id"] = names["worker"]
            if "operation" in route.path:
                names["id"] = "1"
            counted.clear()
            answer = await api.get(route.path.format(**names))
            assert answer.status_code == 200, answer.text
            assert counted.total() == STATEMENTS[f"GET {route.path}"], counted


@pytest.mark.anyio
async def test_a_token_takes_one_statement_for_many_requests(
    dsn: str, conn: psycopg.Connection[Any], counted: Counter[str]
) -> None:
    from serving import token

    secret = token(conn, "view")
    async with client(dsn) as api:
        for _ in range(5):
            await api.get("/healthz", headers={"Authorization": f"Bearer {secret}"})
        assert counted.total() == 0
        for _ in range(5):
            answer = await api.get(f"{API}/queues", headers={"Authorization": f"Bearer {secret}"})
            assert answer.status_code == 200
    assert counted["list_queues"] == 5
    assert counted["authenticate"] < 5
