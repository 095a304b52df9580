"""The app's own sessions: when they open, what they survive, what they tell."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import anyio
import anyio.to_thread
import psycopg
import pytest
import uvloop

import pooler
from pgq import App, ConfigError, SchemaMismatch, Unavailable, database, session, sessions
from pgq.connections import Statement

Rows = Callable[..., list[tuple[Any, ...]]]
OURS = "application_name = 'pgq client'"


def end_sessions(rows: Rows) -> int:
    """End the app's sessions on the server and wait until they are gone."""
    return len(rows(f"select pg_terminate_backend(pid, 10000) from pg_stat_activity where {OURS}"))


@pytest.mark.anyio
async def test_a_session_is_kept_for_the_next_statement(app: App, rows: Rows) -> None:
    for _ in range(3):
        await app.enqueue("mail")
    assert rows(f"select count(*) from pg_stat_activity where {OURS}") == [(1,)]


@pytest.mark.anyio
async def test_a_session_that_the_server_ended_is_replaced_unnoticed(app: App, rows: Rows) -> None:
    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(app.enqueue, "mail")
    assert end_sessions(rows) > 1
    for _ in range(3):
        await app.enqueue("mail")


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_a_session_that_ends_while_it_waits_leaves_its_socket_s_number_to_the_next(
    dsn: str, run: Callable[[Coroutine[Any, Any, None]], None]
) -> None:
    async def play() -> None:
        first = await database.connect_async(dsn)
        number = first.fileno()
        with pytest.raises(psycopg.errors.AdminShutdown):
            await session.Session(first, pooler=False).fetch(
                Statement("select pg_terminate_backend(pg_backend_pid())")
            )
        second = await database.connect_async(dsn)
        assert second.fileno() == number
        rows = await session.Session(second, pooler=False).fetch(Statement("select 1"))
        assert list(rows) == [(1,)]
        await second.close()

    run(play())


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_a_statement_fails_whose_server_ended_before_it_had_read_everything(
    dsn: str, conn: psycopg.Connection[Any], run: Callable[[Coroutine[Any, Any, None]], None]
) -> None:
    async def play() -> None:
        connection = await database.connect_async(dsn, application_name="pgq client")
        waits = Statement("select pg_advisory_lock(1)")
        with anyio.fail_after(30):
            async with asyncio.TaskGroup() as group:
                group.create_task(_fails(session.Session(connection, pooler=False).fetch(waits)))
                await anyio.to_thread.run_sync(until_blocked, conn)
                os.write(connection.fileno(), b"S\0\0\0\4")
                pid = connection.info.backend_pid
                conn.execute("select pg_terminate_backend(%s, 10000)", [pid])

    conn.execute("select pg_advisory_lock(1)")
    run(play())


async def _fails(answer: Awaitable[Any]) -> None:
    with pytest.raises(psycopg.OperationalError):
        await answer


def test_a_sync_session_that_the_server_ended_is_replaced_unnoticed(dsn: str, rows: Rows) -> None:
    app = App(dsn)
    app.enqueue_sync("mail")
    assert end_sessions(rows) == 1
    app.enqueue_sync("mail")
    app.close_sync()


@pytest.mark.anyio
async def test_statements_of_a_session_are_prepared(dsn: str) -> None:
    async with App(dsn) as app:
        for _ in range(3):
            await app.enqueue("mail")
        (count,) = await app.fetch(
            Statement(
                "select count(*) from pg_prepared_statements where left(statement, 6) = 'insert'"
            )
        )
    assert count[0] == 1


@pytest.mark.anyio
async def test_no_more_statements_are_prepared_than_a_session_has_room_for(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "STATEMENTS", 2)
    count = "select count(*), {} from pg_prepared_statements where left(name, 3) = 'pgq'"
    async with App(dsn) as app:
        for n in range(5):
            (found,) = await app.fetch(Statement(count.format(n)))
            assert tuple(found) == (min(n + 1, 2), n)


def test_statements_of_a_sync_session_are_prepared(dsn: str) -> None:
    app = App(dsn)
    for _ in range(3):
        app.enqueue_sync("mail")
    assert app.fetch_sync(Statement("select count(*) from pg_prepared_statements"))[0][0] == 1
    app.close_sync()


@pytest.mark.anyio
async def test_nothing_is_prepared_behind_a_pooler(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pooler.pretend(monkeypatch)
    async with App(dsn) as app:
        for _ in range(3):
            await app.enqueue("mail")
        (count,) = await app.fetch(Statement("select count(*) from pg_prepared_statements"))
    assert count[0] == 0


def test_a_statement_whose_rows_a_migration_changed_is_prepared_anew(
    dsn: str, conn: psycopg.Connection[Any]
) -> None:
    app = App(dsn)
    conn.execute("create table changing (a integer)")
    conn.execute("insert into changing values (1)")
    for _ in range(3):
        assert app.fetch_sync(Statement("select * from changing")) == [(1,)]
    conn.execute("alter table changing add b integer")
    assert app.fetch_sync(Statement("select * from changing")) == [(1, None)]
    app.close_sync()


@pytest.mark.anyio
async def test_a_cancelled_statement_leaves_no_broken_session_behind(
    app: App, conn: psycopg.Connection[Any]
) -> None:
    await app.enqueue("mail")
    with conn.transaction():
        conn.execute("lock table pgq.job in access exclusive mode")
        async with anyio.create_task_group() as group:
            group.start_soon(app.enqueue, "mail")
            await anyio.to_thread.run_sync(until_blocked, conn)
            group.cancel_scope.cancel()
    assert (await app.enqueue("mail")).created


@pytest.mark.anyio
async def test_a_cancelled_statement_ends_in_the_server(
    app: App, conn: psycopg.Connection[Any]
) -> None:
    await app.enqueue("mail")
    with conn.transaction():
        conn.execute("lock table pgq.job in access exclusive mode")
        async with anyio.create_task_group() as group:
            group.start_soon(app.enqueue, "mail")
            await anyio.to_thread.run_sync(until_blocked, conn)
            group.cancel_scope.cancel()
    assert conn.execute("select count(*) from pgq.job").fetchone() == (1,)


@pytest.mark.anyio
async def test_a_session_that_ends_within_a_statement_is_unavailable(
    app: App, conn: psycopg.Connection[Any], rows: Rows
) -> None:
    await app.enqueue("mail")

    async def enqueue() -> None:
        with pytest.raises(Unavailable):
            await app.enqueue("mail")

    with conn.transaction():
        conn.execute("lock table pgq.job in access exclusive mode")
        async with anyio.create_task_group() as group:
            group.start_soon(enqueue)
            await anyio.to_thread.run_sync(until_blocked, conn)
            end_sessions(rows)
    assert (await app.enqueue("mail")).created


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_an_answer_that_does_not_come_is_not_waited_for(
    dsn: str, run: Callable[[Coroutine[Any, Any, None]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    # As behind a pooler, the server is not the one that ends the statement.
    monkeypatch.setattr(sessions, "SLACK", 2 - database.STATEMENT_TIMEOUT)

    async def play() -> None:
        kept = sessions.Sessions(lambda: dsn)
        with pytest.raises(Unavailable, match=r"did not answer within 2 s"):
            await kept.fetch(Statement("select pg_sleep(20)"))
        assert await kept.fetch(Statement("select 1")) == [(1,)]
        await kept.close()

    run(play())


@pytest.mark.anyio
async def test_a_statement_larger_than_the_socket_takes_at_once_goes_through(app: App) -> None:
    text = "x" * 30_000_000
    (row,) = await app.fetch(Statement("select cast(? as text)", (text,)))
    assert row[0] == text


def until_blocked(conn: psycopg.Connection[Any]) -> None:
    """Wait until a session of the app waits for a lock."""
    deadline = time.monotonic() + 30
    query = f"select from pg_stat_activity where {OURS} and wait_event_type = 'Lock'"
    while not conn.execute(query.encode()).fetchall():
        assert time.monotonic() < deadline
        conn.execute("select pg_stat_clear_snapshot()")


def test_closing_ends_the_sessions(dsn: str, rows: Rows) -> None:
    async def main() -> None:
        async with App(dsn) as app:
            await app.enqueue("mail")
            app.enqueue_sync("mail")

    asyncio.run(main())
    deadline = time.monotonic() + 30
    while rows(f"select from pg_stat_activity where {OURS}"):
        assert time.monotonic() < deadline


def test_an_app_is_used_again_after_closing(dsn: str) -> None:
    app = App(dsn)
    app.enqueue_sync("mail")
    app.close_sync()
    assert app.enqueue_sync("mail").created
    app.close_sync()


def test_an_app_is_used_in_one_event_loop_after_another(dsn: str) -> None:
    app = App(dsn)

    async def main() -> bool:
        try:
            return (await app.enqueue("mail")).created
        finally:
            await app.close()

    assert asyncio.run(main())
    assert asyncio.run(main())


def test_many_threads_share_a_few_sessions(dsn: str, rows: Rows) -> None:
    app = App(dsn)
    threads = [threading.Thread(target=app.enqueue_sync, args=("mail",)) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert rows("select count(*) from pgq.job") == [(40,)]
    assert rows(f"select count(*) from pg_stat_activity where {OURS}")[0][0] <= sessions.SIZE
    app.close_sync()


def test_a_forked_process_opens_sessions_of_its_own(dsn: str) -> None:
    app = App(dsn)

    def session() -> int:
        return int(app.fetch_sync(Statement("select pg_backend_pid()"))[0][0])

    ours = session()
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.write(writer, str(session()).encode())
        finally:
            os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    theirs = os.read(reader, 100).decode()
    os.close(reader)
    assert theirs.isdigit()
    assert int(theirs) != ours
    assert session() == ours
    app.close_sync()


@pytest.mark.parametrize(
    "address", ["host=127.0.0.1 port=1", "postgresql://me:secret@127.0.0.1:1/x"]
)
def test_a_database_that_is_down_is_named_at_once_without_its_password(address: str) -> None:
    with pytest.raises(Unavailable) as caught:
        App(address).enqueue_sync("mail")
    assert "127.0.0.1" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_an_address_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(ConfigError):
        App("postgresql://a:b@c@d:e/f").enqueue_sync("mail")


def test_a_database_without_the_schema_says_to_migrate(empty_dsn: str) -> None:
    app = App(empty_dsn)
    with pytest.raises(SchemaMismatch, match="pgq migrate"):
        app.enqueue_sync("mail")
    app.close_sync()


def test_without_an_address_the_environment_says_which_database(
    dsn: str, monkeypatch: pytest.MonkeyPatch, rows: Rows
) -> None:
    monkeypatch.setenv("DATABASE_URL", dsn)
    app = App()
    app.enqueue_sync("mail")
    app.close_sync()
    assert rows("select task from pgq.job") == [("mail",)]
