"""Parts of the worker on their own."""

from __future__ import annotations

import asyncio
import math
import os
import time
from collections.abc import Callable
from typing import Any, NoReturn
from uuid import UUID, uuid4

import anyio
import psycopg
import pytest

import pooler
from pgq import App
from pgq.errors import ConfigError, Unavailable
from pgq_worker import arrays
from pgq_worker.claims import Claims
from pgq_worker.dispatcher import BYTES, Dispatcher
from pgq_worker.execution import MESSAGE_LENGTH, TRACEBACK_LENGTH, Execution, described
from pgq_worker.jobs import ClaimedJob, Row
from pgq_worker.lines import CAPACITY, Lines
from pgq_worker.plan import Plan, parse_queues
from pgq_worker.processes import STALLED, ChildProcess
from pgq_worker.registration import Registration, Standing
from pgq_worker.reports import Reports
from pgq_worker.sessions import Session
from pgq_worker.slots import Held, Slots, allocate


def test_reader_of_slots_sees_what_the_writer_holds() -> None:
    fd = allocate(4)
    child, supervisor = Slots(fd, size=4), Slots(fd, size=4)
    os.close(fd)
    token = uuid4()

    first, second = child.take(7, token.bytes, 5.0), child.take(8, token.bytes, 5.0)
    child.begin(first, 100.0)
    child.tick(1)

    held = {job.id: job for job in supervisor.held()}
    assert (held[7].token, held[7].begun, held[8].begun) == (token, True, False)
    assert (held[7].overdue(106.0), held[8].overdue(106.0)) == (1.0, -math.inf)
    assert supervisor.busy == 1

    assert supervisor.claiming is None
    child.claim(token.bytes)
    assert supervisor.claiming == token
    child.claim(None)
    assert supervisor.claiming is None

    child.end(first)
    child.give(second)
    [left] = supervisor.held()
    assert (left.id, left.begun, left.overdue(1e9)) == (7, True, -math.inf)
    assert child.free_count == 3


def supervised(slots: Slots) -> ChildProcess:
    """A child that started long ago, as its supervisor sees it."""
    child = ChildProcess.__new__(ChildProcess)
    child.slots, child.started_at = slots, 0.0
    return child


def test_child_whose_claims_are_not_answered_makes_no_progress() -> None:
    slots = Slots(size=1)
    child, now = supervised(slots), time.monotonic()
    slots.tick(0)

    assert child.progresses(now, poll=1.0)
    slots.turn(now - STALLED)
    assert child.progresses(now, poll=1.0)
    slots.turn(now - STALLED - 2)
    assert not child.progresses(now, poll=1.0)
    assert child.progresses(now, poll=60.0)
    slots.turn(None)
    assert child.progresses(now, poll=1.0)


def test_child_that_a_handler_holds_up_is_stuck_when_that_is_out_of_time() -> None:
    slots = Slots(size=1)
    child, later = supervised(slots), time.monotonic() + 100
    slots.tick(1)
    slot = slots.take(7, uuid4().bytes, 60.0)

    assert not child.progresses(later, poll=1.0)
    slots.begin(slot, later - 50)
    assert child.progresses(later, poll=1.0)
    slots.begin(slot, later - 100)
    assert not child.progresses(later, poll=1.0)


@pytest.mark.anyio
@pytest.mark.parametrize("behind_pooler", [False, True])
async def test_a_session_prepares_statements_unless_there_is_a_pooler(
    dsn: str, monkeypatch: pytest.MonkeyPatch, behind_pooler: bool
) -> None:
    if behind_pooler:
        pooler.pretend(monkeypatch)
    session = Session(dsn, name="claims")
    for _ in range(3):
        [(prepared,)] = await session.fetch("select count(*) from pg_prepared_statements")
    assert (prepared == 0) == behind_pooler
    await session.close()


@pytest.mark.anyio
async def test_claims_that_are_refused_are_no_progress(
    conn: psycopg.Connection[Any], dsn: str
) -> None:
    (worker,) = conn.execute(
        "select worker from pgq.register_worker('w', array['default'], 1)"
    ).fetchone() or (0,)
    conn.execute("alter function pgq.claim rename to claim_is_gone")
    slots, session = Slots(size=10), Session(dsn, name="claims")
    lines = Lines(session)
    async with asyncio.TaskGroup() as group:
        dispatcher = Dispatcher(
            Execution(App(), slots=slots, lines=lines),
            Reports(session, session, slots),
            lines,
            slots,
            limits={"default": 1},
            concurrency=1,
            alone=False,
            group=group,
        )
        claims = Claims(
            session,
            dispatcher,
            slots,
            executor=1,
            queues=["default"],
            suspects=False,
            reserved=False,
            poll=0.01,
        )
        running = group.create_task(claims.run())
        await until_true(lambda: slots.turned_at == math.inf)
        claims.resume(worker, 0.01)
        await until_true(lambda: slots.turned_at < math.inf)
        began_at = slots.turned_at
        await asyncio.sleep(0.2)
        assert slots.turned_at == began_at
        conn.execute("alter function pgq.claim_is_gone rename to claim")
        await until_true(lambda: slots.turned_at > began_at)
        claims.stop()
        await running
    await session.close()


async def until_true(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("value", ["", 'a"b', "a\\b", "{a,b}", "null", " ", "é\n\t", "a'b"])
def test_texts_pass_through_an_array_unchanged(
    conn: psycopg.Connection[object], value: str
) -> None:
    row = conn.execute("select %s::text[]", [arrays.texts([value, None, value])]).fetchone()

    assert row == ([value, None, value],)


@pytest.mark.parametrize("count", [0, 1, 500])
def test_values_sent_in_binary_arrive_unchanged(
    conn: psycopg.Connection[object], count: int
) -> None:
    ids = [(n << 32) - 1 for n in range(count)]
    seconds = [1e-7 * n for n in range(count)]
    tokens = [uuid4() for _ in range(count)]

    row = conn.execute(
        "select %s, %s, %s",
        [arrays.bigints(ids), arrays.doubles(seconds), arrays.uuids([t.bytes for t in tokens])],
    ).fetchone()

    assert row == (ids, seconds, tokens)


def test_what_no_text_of_postgres_can_hold_is_replaced(conn: psycopg.Connection[object]) -> None:
    row = conn.execute("select %s::text[]", [arrays.texts(["a\x00b", "c\ud800d"])]).fetchone()

    assert row == (["a�b", "c?d"],)


def test_long_error_is_cut_to_what_is_kept() -> None:
    try:
        raise ValueError("x" * 1_000_000)
    except ValueError as error:
        failed = described(error)

    assert len(failed.message) == MESSAGE_LENGTH
    assert failed.traceback is not None
    assert len(failed.traceback) == TRACEBACK_LENGTH


def test_error_whose_text_cannot_be_made_is_still_described() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert "RuntimeError" in described(Mute()).message


def test_totals_of_queues_are_divided_over_the_processes() -> None:
    plan = Plan(app="a", dsn="", queues={"a": 5, "b": None, "c": 1}, processes=2, concurrency=16)

    assert [plan.limits(seat) for seat in range(2)] == [
        {"a": 3, "b": 16, "c": 1},
        {"a": 2, "b": 16},
    ]


def test_queues_are_read_with_and_without_a_number() -> None:
    assert parse_queues("mail=4, default,a=b=2") == {"mail": 4, "default": None, "a=b": 2}


@pytest.mark.parametrize("text", ["", "a,,b", "a=", "a=0", "a=-1", "a=x", "=3", "x" * 201])
def test_queue_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_queues(text)


def test_lines_beyond_what_can_wait_are_dropped_rather_than_kept() -> None:
    async def flood() -> int:
        lines = Lines(None)
        job = ClaimedJob((1, "q", "t", "{}", 1, 1, 1.0, False, None), uuid4().bytes)
        for n in range(CAPACITY + 10):
            lines.add(job, f"line {n}", "info")
        return len(lines.drain())

    assert asyncio.run(flood()) == CAPACITY


class Away:
    """A session whose database is away, and a holder of nothing."""

    def __init__(self) -> None:
        self.calls = 0

    async def fetch(self, *_: object, **__: object) -> NoReturn:
        self.calls += 1
        raise Unavailable("away")

    def claiming(self) -> list[UUID]:
        return []

    def held(self) -> list[Held]:
        return []

    def busy(self) -> int:
        return 0

    def state(self) -> str:
        return "available"


async def _heartbeats(seconds: float, *, suspended: bool) -> int:
    away: Any = Away()
    plan = Plan(app="handlers:app", dsn="", queues={"default": None})
    standing = Standing(away, plan, away, check=lambda _: None)
    standing.registration = Registration(
        worker=1, lease=15.0, heartbeat=5.0, poll=1.0, solo_children=1
    )
    standing.suspended = suspended
    standing._deadline = time.monotonic() + (0.0 if suspended else 1.0)
    with anyio.move_on_after(seconds):
        await standing.run()
    return int(away.calls)


@pytest.mark.anyio
async def test_worker_that_has_dropped_its_jobs_sends_heartbeats_more_and_more_rarely() -> None:
    assert 2 <= await _heartbeats(2.0, suspended=True) <= 5


@pytest.mark.anyio
async def test_worker_about_to_lose_its_leases_sends_heartbeats_often() -> None:
    assert await _heartbeats(1.0, suspended=False) >= 4


def test_large_payloads_are_claimed_ahead_up_to_a_number_of_bytes() -> None:
    app = App()

    @app.task
    async def take(text: str) -> None:
        if text:
            await asyncio.Event().wait()

    async def play() -> None:
        slots, session = Slots(size=1_000_000), Session("", name="")
        lines, reports = Lines(None), Reports(session, session, slots)
        async with asyncio.TaskGroup() as group:
            dispatcher = Dispatcher(
                Execution(app, slots=slots, lines=lines),
                reports,
                lines,
                slots,
                limits={"default": 1},
                concurrency=1,
                alone=False,
                group=group,
            )

            def accept(text: bytes, count: int) -> None:
                payload = b'{"text": "%b"}' % text
                row: Row = (1, "default", take.name, payload, 1, 1, 600.0, False, None)
                dispatcher.accept([row] * count, uuid4())

            while dispatcher.room() < 100:
                accept(b"", 1)
                await dispatcher.is_idle.wait()
            accept(b"x" * (BYTES // 10), 5)
            assert 1 <= dispatcher.room() <= 10 + 1 - 5

    asyncio.run(play())
