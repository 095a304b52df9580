"""Over a connection of the caller's a job lives or dies with the caller's transaction."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from typing import Any

import asyncpg
import django
import psycopg
import pytest
import sqlalchemy
from django.conf import settings
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import dict_row
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from pgq import App, BadArgument, Task, TaskError

pytestmark = pytest.mark.anyio
Rows = Callable[..., list[tuple[Any, ...]]]

# Each opens a transaction on a connection of its kind, lets the caller enqueue, and ends it.
AsyncTransaction = Callable[[str, str], Any]


def url(dsn: str, driver: str) -> sqlalchemy.URL:
    """The test's database as SQLAlchemy wants it."""
    values = conninfo_to_dict(dsn)
    host = str(values.get("host", "localhost"))
    return sqlalchemy.URL.create(
        f"postgresql+{driver}",
        username=str(values["user"]),
        password=str(values["password"]) if "password" in values else None,
        database=str(values["dbname"]),
        query={"host": host, "port": str(values.get("port", 5432))},
    )


@contextmanager
def psycopg_connection(dsn: str, end: str) -> Iterator[Any]:
    with psycopg.connect(dsn) as session:
        yield session
        getattr(session, end)()


@contextmanager
def psycopg_in_a_block(dsn: str, end: str) -> Iterator[Any]:
    with psycopg.connect(dsn, autocommit=True) as session, session.transaction() as transaction:
        yield session
        if end == "rollback":
            raise psycopg.Rollback(transaction)


@contextmanager
def psycopg_with_rows_as_dicts(dsn: str, end: str) -> Iterator[Any]:
    with psycopg.connect(dsn, row_factory=dict_row, cursor_factory=psycopg.RawCursor) as session:
        yield session
        getattr(session, end)()


@contextmanager
def sqlalchemy_connection(dsn: str, end: str) -> Iterator[Any]:
    engine = sqlalchemy.create_engine(url(dsn, "psycopg"))
    with engine.connect() as connection:
        yield connection
        getattr(connection, end)()
    engine.dispose()


@contextmanager
def sqlalchemy_session(dsn: str, end: str) -> Iterator[Any]:
    engine = sqlalchemy.create_engine(url(dsn, "psycopg"))
    with Session(engine) as session:
        yield session
        getattr(session, end)()
    engine.dispose()


@contextmanager
def sqlalchemy_scoped_session(dsn: str, end: str) -> Iterator[Any]:
    engine = sqlalchemy.create_engine(url(dsn, "psycopg"))
    session = scoped_session(sessionmaker(engine))
    yield session
    getattr(session, end)()
    session.remove()
    engine.dispose()


@contextmanager
def django_connection(dsn: str, end: str) -> Iterator[Any]:
    from django.db import connection, connections, transaction

    values = conninfo_to_dict(dsn)
    database = {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": values["dbname"],
        "USER": values["user"],
        "PASSWORD": values.get("password", ""),
        "HOST": values.get("host", ""),
        "PORT": values.get("port", ""),
    }
    connections.settings = connections.configure_settings({"default": database})
    try:
        with transaction.atomic():
            yield connection
            transaction.set_rollback(end == "rollback")
    finally:
        connections.close_all()
        del connections["default"]


@asynccontextmanager
async def psycopg_async_connection(dsn: str, end: str) -> AsyncIterator[Any]:
    async with await psycopg.AsyncConnection.connect(dsn) as session:
        yield session
        await getattr(session, end)()


@asynccontextmanager
async def sqlalchemy_async_connection(dsn: str, end: str) -> AsyncIterator[Any]:
    engine = create_async_engine(url(dsn, "asyncpg"))
    async with engine.connect() as connection:
        yield connection
        await getattr(connection, end)()
    await engine.dispose()


@asynccontextmanager
async def sqlalchemy_async_session(dsn: str, end: str) -> AsyncIterator[Any]:
    engine = create_async_engine(url(dsn, "psycopg_async"))
    async with AsyncSession(engine) as session:
        yield session
        await getattr(session, end)()
    await engine.dispose()


@asynccontextmanager
async def sqlalchemy_async_session_over_asyncpg(dsn: str, end: str) -> AsyncIterator[Any]:
    engine = create_async_engine(url(dsn, "asyncpg"))
    async with async_sessionmaker(engine)() as session:
        yield session
        await getattr(session, end)()
    await engine.dispose()


@asynccontextmanager
async def asyncpg_connection(dsn: str, end: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(
        url(dsn, "asyncpg").set(drivername="postgresql").render_as_string(False)
    )
    transaction = connection.transaction()
    await transaction.start()
    yield connection
    await getattr(transaction, end)()
    await connection.close()


@asynccontextmanager
async def asyncpg_with_a_json_codec(dsn: str, end: str) -> AsyncIterator[Any]:
    import json

    async with asyncpg_connection(dsn, end) as connection:
        await connection.set_type_codec(
            "json", encoder=json.dumps, decoder=json.loads, schema="pg_catalog"
        )
        yield connection


@asynccontextmanager
async def asyncpg_from_a_pool(dsn: str, end: str) -> AsyncIterator[Any]:
    address = url(dsn, "asyncpg").set(drivername="postgresql").render_as_string(False)
    async with (
        asyncpg.create_pool(address, min_size=1, max_size=1) as pool,
        pool.acquire() as connection,
    ):
        transaction = connection.transaction()
        await transaction.start()
        yield connection
        await getattr(transaction, end)()


SYNC = [
    psycopg_connection,
    psycopg_in_a_block,
    psycopg_with_rows_as_dicts,
    sqlalchemy_connection,
    sqlalchemy_session,
    sqlalchemy_scoped_session,
    django_connection,
]
ASYNC = [
    psycopg_async_connection,
    sqlalchemy_async_connection,
    sqlalchemy_async_session,
    sqlalchemy_async_session_over_asyncpg,
    asyncpg_connection,
    asyncpg_with_a_json_codec,
    asyncpg_from_a_pool,
]


@pytest.fixture(scope="module", autouse=True)
def _django() -> None:
    os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    if not settings.configured:
        settings.configure(USE_TZ=True)
        django.setup()


@pytest.fixture
def mail(app: App) -> Task[..., ..., Any]:
    @app.task(queue="post", timeout=2, tags=["a", 'b"{}'], headers={"é": "☃ % ? :p1 $1"})
    async def mail(to: str, n: int = 0) -> None: ...

    return mail


def stored(rows: Rows) -> list[tuple[Any, ...]]:
    return rows(
        "select id, payload, unique_key, tags, headers, extract(epoch from timeout)::integer "
        "from pgq.job order by id"
    )


def expected(*jobs: tuple[int, Any, str | None]) -> list[tuple[Any, ...]]:
    return [(*job, ["a", 'b"{}'], {"é": "☃ % ? :p1 $1"}, 2) for job in jobs]


@pytest.mark.parametrize("kind", SYNC, ids=lambda kind: kind.__name__)
async def test_jobs_live_with_a_synchronous_transaction(
    kind: Any, mail: Task[..., ..., Any], dsn: str, rows: Rows
) -> None:
    with kind(dsn, "commit") as connection:
        here = mail.options(connection=connection)
        one = here.enqueue_sync("ann")
        unique = here.options(unique_key="k", delay=9).enqueue_sync("bob")
        many = here.enqueue_many_sync([["eve", 1], ["% ?", 2]])
        assert stored(rows) == []
    assert stored(rows) == expected(
        (one.id, {"to": "ann"}, None),
        (unique.id, {"to": "bob"}, "k"),
        (many[0].id, {"to": "eve", "n": 1}, None),
        (many[1].id, {"to": "% ?", "n": 2}, None),
    )


@pytest.mark.parametrize("kind", ASYNC, ids=lambda kind: kind.__name__)
async def test_jobs_live_with_an_asynchronous_transaction(
    kind: Any, mail: Task[..., ..., Any], dsn: str, rows: Rows
) -> None:
    async with kind(dsn, "commit") as connection:
        here = mail.options(connection=connection)
        one = await here.enqueue("ann")
        unique = await here.options(unique_key="k", delay=9).enqueue("bob")
        many = await here.enqueue_many([["eve", 1], ["% ?", 2]])
        assert stored(rows) == []
    assert stored(rows) == expected(
        (one.id, {"to": "ann"}, None),
        (unique.id, {"to": "bob"}, "k"),
        (many[0].id, {"to": "eve", "n": 1}, None),
        (many[1].id, {"to": "% ?", "n": 2}, None),
    )


@pytest.mark.parametrize("kind", SYNC, ids=lambda kind: kind.__name__)
async def test_jobs_die_with_a_synchronous_transaction(
    kind: Any, app: App, mail: Task[..., ..., Any], dsn: str, rows: Rows
) -> None:
    with kind(dsn, "rollback") as connection:
        mail.options(connection=connection).enqueue_sync("ann")
        app.enqueue_sync("other", connection=connection)
    assert stored(rows) == []


@pytest.mark.parametrize("kind", ASYNC, ids=lambda kind: kind.__name__)
async def test_jobs_die_with_an_asynchronous_transaction(
    kind: Any, app: App, mail: Task[..., ..., Any], dsn: str, rows: Rows
) -> None:
    async with kind(dsn, "rollback") as connection:
        await mail.options(connection=connection).enqueue("ann")
        await app.enqueue("other", connection=connection)
    assert stored(rows) == []


@pytest.mark.parametrize("kind", SYNC, ids=lambda kind: kind.__name__)
async def test_a_refusal_is_the_same_error_over_synchronous_connections(
    kind: Any, app: App, dsn: str
) -> None:
    with kind(dsn, "rollback") as connection, pytest.raises(BadArgument) as caught:
        app.enqueue_sync("x" * 201, connection=connection)
    assert "expected 1 to 200 characters" in str(caught.value.detail)
    assert caught.value.hint


@pytest.mark.parametrize("kind", ASYNC, ids=lambda kind: kind.__name__)
async def test_a_refusal_is_the_same_error_over_asynchronous_connections(
    kind: Any, app: App, dsn: str
) -> None:
    async with kind(dsn, "rollback") as connection:
        with pytest.raises(BadArgument) as caught:
            await app.enqueue("x" * 201, connection=connection)
    assert "expected 1 to 200 characters" in str(caught.value.detail)
    assert caught.value.hint


async def test_other_errors_stay_the_librarys_own(app: App, dsn: str) -> None:
    with closing(psycopg.connect(dsn)) as session:
        with pytest.raises(psycopg.errors.DivisionByZero):
            session.execute("select 1/0")
        with pytest.raises(psycopg.errors.InFailedSqlTransaction):
            app.enqueue_sync("mail", connection=session)


async def test_a_synchronous_connection_is_refused_by_the_async_verbs(app: App, dsn: str) -> None:
    with (
        closing(psycopg.connect(dsn)) as session,
        pytest.raises(TaskError, match="psycopg's Connection is synchronous; use the verbs"),
    ):
        await app.enqueue("mail", connection=session)


async def test_an_asynchronous_connection_is_refused_by_the_sync_verbs(app: App, dsn: str) -> None:
    async with await psycopg.AsyncConnection.connect(dsn) as session:
        with pytest.raises(TaskError, match="is asynchronous; await the verbs"):
            app.enqueue_sync("mail", connection=session)


async def test_an_unknown_connection_is_refused_naming_the_known(app: App) -> None:
    with pytest.raises(TaskError, match=r"builtins\.object is no connection .*SQLAlchemy"):
        await app.enqueue("mail", connection=object())


async def test_a_django_connection_to_another_database_is_refused(app: App) -> None:
    from django.db import connection, connections

    connections.settings = connections.configure_settings(
        {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
    )
    with pytest.raises(TaskError, match="'default' is sqlite; expected postgresql"):
        app.enqueue_sync("mail", connection=connection)
    del connections["default"]
