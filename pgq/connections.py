"""Statements over whatever connection the caller has.

Known are psycopg's, SQLAlchemy's, asyncpg's and Django's. A statement joins the transaction that
the connection is in and is never committed here. None of these libraries but psycopg is imported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, cast

import psycopg
from psycopg.rows import tuple_row

from pgq import errors

Rows = Sequence[Sequence[Any]]


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL with a `?` for each of `values`, in this order."""

    sql: str
    values: Sequence[Any] = ()


async def fetch(connection: Any, statement: Statement) -> Rows:
    """Run a statement over an asynchronous connection."""
    kind = _kind(type(connection))
    if kind.mode == "sync":
        raise errors.TaskError(
            f"{_name(connection)} is synchronous; use the verbs that end in _sync with it"
        )
    with _translated():
        return cast(Rows, await kind.run(connection, statement))


def fetch_sync(connection: Any, statement: Statement) -> Rows:
    """Run a statement over a synchronous connection."""
    kind = _kind(type(connection))
    if kind.mode == "async":
        raise errors.TaskError(
            f"{_name(connection)} is asynchronous; await the verbs without _sync with it"
        )
    with _translated():
        return cast(Rows, kind.run(connection, statement))


def is_async(connection: Any) -> bool:
    """Whether it is `fetch` that runs statements over this connection, and not `fetch_sync`."""
    return _kind(type(connection)).mode == "async"


@dataclass(frozen=True, slots=True)
class _Kind:
    mode: Literal["sync", "async"]
    run: Callable[[Any, Statement], Any]


def _psycopg(connection: psycopg.Connection[Any], statement: Statement) -> Rows:
    with psycopg.Cursor(connection, row_factory=tuple_row) as cursor:
        cursor.execute(render(statement.sql, "%s").encode(), statement.values)
        return cursor.fetchall()


async def _psycopg_async(connection: psycopg.AsyncConnection[Any], statement: Statement) -> Rows:
    async with psycopg.AsyncCursor(connection, row_factory=tuple_row) as cursor:
        await cursor.execute(render(statement.sql, "%s").encode(), statement.values)
        return await cursor.fetchall()


async def _asyncpg(connection: Any, statement: Statement) -> Rows:
    rows = await connection.fetch(render(statement.sql, "$"), *statement.values)
    return [tuple(row.values()) for row in rows]


def _sqlalchemy(connection: Any, statement: Statement) -> Rows:
    return cast(Rows, connection.execute(*_text(statement)).fetchall())


async def _sqlalchemy_async(connection: Any, statement: Statement) -> Rows:
    return cast(Rows, (await connection.execute(*_text(statement))).fetchall())


def _text(statement: Statement) -> tuple[Any, dict[str, Any]]:
    from sqlalchemy import text

    values = {f"p{n}": value for n, value in enumerate(statement.values, 1)}
    return text(render(statement.sql, ":p")), values


def _django(connection: Any, statement: Statement) -> Rows:
    if connection.vendor != "postgresql":
        raise errors.TaskError(
            f"Django's connection {connection.alias!r} is {connection.vendor}; expected postgresql"
        )
    with connection.cursor() as cursor:
        cursor.execute(render(statement.sql, "%s"), statement.values)
        return cast(Rows, cursor.fetchall())


_KINDS = {
    "psycopg.Connection": _Kind("sync", _psycopg),
    "psycopg.AsyncConnection": _Kind("async", _psycopg_async),
    "sqlalchemy.Connection": _Kind("sync", _sqlalchemy),
    "sqlalchemy.Session": _Kind("sync", _sqlalchemy),
    "sqlalchemy.scoped_session": _Kind("sync", _sqlalchemy),
    "sqlalchemy.AsyncConnection": _Kind("async", _sqlalchemy_async),
    "sqlalchemy.AsyncSession": _Kind("async", _sqlalchemy_async),
    "sqlalchemy.async_scoped_session": _Kind("async", _sqlalchemy_async),
    "asyncpg.Connection": _Kind("async", _asyncpg),
    "asyncpg.PoolConnectionProxy": _Kind("async", _asyncpg),
    "django.ConnectionProxy": _Kind("sync", _django),
    "django.DatabaseWrapper": _Kind("sync", _django),
}
"""By package and name of a connection's class, or of one that it inherits from."""


def _kind(type_: type) -> _Kind:
    for base in type_.__mro__:
        if kind := _KINDS.get(f"{base.__module__.partition('.')[0]}.{base.__name__}"):
            return kind
    raise errors.TaskError(
        f"{type_.__module__}.{type_.__qualname__} is no connection that is known; expected one of "
        "psycopg's, asyncpg's, Django's, or SQLAlchemy's (Connection, Session or their async kin)"
    )


@lru_cache(maxsize=512)
def render(sql: str, style: Literal["%s", "$", ":p"]) -> str:
    """`sql` with the placeholders of a driver: `%s`, or `$1` or `:p1` and so on."""
    first, *others = sql.split("?")
    return first + "".join(
        (style if style == "%s" else f"{style}{n}") + part for n, part in enumerate(others, 1)
    )


@contextmanager
def _translated() -> Iterator[None]:
    """Raise the queue's own errors by their SQLSTATE, whichever library reports them."""
    try:
        yield
    except errors.PgqError:
        raise
    except Exception as error:
        for cause in (error, getattr(error, "orig", None), error.__cause__):
            state = getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None)
            if kind := errors.BY_SQLSTATE.get(str(state)):
                raise kind(*_words(cause)) from error
        raise


def _words(error: Any) -> tuple[str, str | None, str | None]:
    """Message, detail and hint, as psycopg or asyncpg give them."""
    source = getattr(error, "diag", None) or getattr(error, "__cause__", None) or error
    message = getattr(source, "message_primary", None) or getattr(source, "message", None)
    detail = getattr(source, "message_detail", None) or getattr(source, "detail", None)
    hint = getattr(source, "message_hint", None) or getattr(source, "hint", None)
    return message or str(error), detail, hint


def _name(connection: Any) -> str:
    return f"{type(connection).__module__.partition('.')[0]}'s {type(connection).__name__}"
