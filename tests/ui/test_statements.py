"""How many statements a page costs, however much there is to show."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx
import pytest
from scenes import shop

from pgq_server import app, gateway
from pgq_server.routes import TABLE
from pgq_server.settings import Settings
from sql.support import Conn, value

COSTS = {
    "/ui": 5,
    "/ui?span=48h": 5,
    "/ui/jobs": 4,
    "/ui/jobs?q=state:dead+queue:mail+created:<1h+worker:web-1:4120": 4,
    "/ui/jobs?q=payload.user.id:42": 3,
    "/ui/jobs?sort=oldest": 4,
    "/ui/jobs/{failed}": 6,
    "/ui/jobs/{failed}/retry": 1,
    "/ui/jobs/{failed}/edit": 2,
    "/ui/queues": 1,
    "/ui/queues/mail": 2,
    "/ui/queues/mail/settings": 1,
    "/ui/queues/mail/pause": 0,
    "/ui/workers": 1,
    "/ui/workers/{worker}/drain": 1,
    "/ui/dead": 2,
    "/ui/dead?fingerprint=x": 3,
    "/ui/operations": 1,
    "/ui/operations/new?verb=retry&q=queue:mail": 1,
    "/ui/operations/{operation}": 1,
    "/ui/new": 1,
    "/ui/suggestions?word=queue:": 3,
    "/ui/login": 0,
}


Fetch = Callable[[str], Awaitable[int]]


@asynccontextmanager
async def counting(dsn: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Fetch]:
    """Fetches a page from an application in this process; how many verbs that called."""
    calls: list[str] = []
    real = gateway._batch

    async def noting(session: Any, verbs: Any) -> Any:
        calls.extend(each.name for each in verbs)
        return await real(session, verbs)

    monkeypatch.setattr(gateway, "_batch", noting)
    application = app.create(Settings(dsn=dsn))
    transport = httpx.ASGITransport(application, client=("127.0.0.1", 1))
    async with (
        application.router.lifespan_context(application),
        httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client,
    ):

        async def fetch(path: str) -> int:
            calls.clear()
            answer = await client.get(path)
            assert answer.status_code == 200, answer.text
            return len(calls)

        yield fetch


def test_the_cost_of_every_page_is_known() -> None:
    asked = {path.partition("?")[0] for path in COSTS}
    for route in TABLE:
        if route.method == "GET" and route.path.startswith("/ui") and "static" not in route.path:
            pattern = re.sub(r"\{\w+\}", "[^/]+", route.path)
            assert any(re.fullmatch(pattern, path) for path in asked), route.path


def test_a_page_costs_a_fixed_number_of_statements(
    dsn: str, conn: Conn, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ThreadPoolExecutor(1) as pool:  # a loop of its own: the browser's may run here
        pool.submit(anyio.run, _compare, dsn, conn, monkeypatch).result()


async def _compare(dsn: str, conn: Conn, monkeypatch: pytest.MonkeyPatch) -> None:
    names = {
        **shop(conn),
        "worker": value(conn, "select min(id) from pgq.list_workers()"),
        "operation": value(conn, "select pgq.start_operation('cancel', p_ids => array[1])"),
    }
    async with counting(dsn, monkeypatch) as fetch:
        few = {path: await fetch(path.format(**names)) for path in COSTS}
        assert few == COSTS
        conn.execute(
            "insert into pgq.job (task, queue) "
            "select 'task ' || n % 50, 'queue ' || n % 100 from generate_series(1, 2000) n"
        )
        many = {path: await fetch(path.format(**names)) for path in COSTS}
        assert many == COSTS
