"""The way to the database: public verbs by name, with named arguments and listed columns.

    jobs = await db.rows("list_jobs", columns_of(JobSummary), p_queue="mail", p_limit=50)
    job = await db.row("get_job", columns_of(JobDetail), p_id=7)
    changed = await db.value("pause", p_queue="mail")
    jobs, queues = await db.batch(verb("list_jobs", …), verb("list_queues", …))

A column is `name`, `name::type`, `name as other` or `name::type as other`. A batch is one round
trip. Errors are those of `pgq.errors`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

import psycopg
from psycopg import sql

from pgq import database, errors, extremes
from pgq.connections import Rows, Statement, render
from pgq.session import Session
from pgq.sessions import Sessions, is_changed

Row = dict[str, Any]
T = TypeVar("T")

PATIENCE = 5.0
"""Seconds that a request waits for a session."""
STATEMENT_TIMEOUT = 15.0
"""Seconds."""


@dataclass(frozen=True, slots=True)
class Verb:
    """A call of a verb; without columns its answer is one value."""

    name: str
    columns: tuple[str, ...]
    arguments: Row

    @property
    def statement(self) -> Statement:
        """Its SQL and values."""
        query = _query(self.name, self.columns, tuple(self.arguments))
        return Statement(query, tuple(self.arguments.values()))


def verb(name: str, columns: Sequence[str] = (), /, **arguments: Any) -> Verb:
    """A call of `pgq.<name>`, for `batch`; arguments are named as in SQL, `p_…`."""
    return Verb(name, tuple(columns), arguments)


class Gateway(ABC):
    """Calls verbs."""

    in_transaction = False
    """Whether what was refused spoils what follows."""

    async def rows(self, name: str, columns: Sequence[str], /, **arguments: Any) -> list[Row]:
        """The rows that a verb answers."""
        (rows,) = await self.batch(verb(name, columns, **arguments))
        return rows

    async def row(self, name: str, columns: Sequence[str], /, **arguments: Any) -> Row:
        """The one row that a verb answers."""
        return (await self.rows(name, columns, **arguments))[0]

    async def value(self, name: str, /, **arguments: Any) -> Any:
        """The one value that a verb answers."""
        return (await self.rows(name, (), **arguments))[0]["answer"]

    @abstractmethod
    async def batch(self, *verbs: Verb) -> list[list[Row]]:
        """The rows of each verb, in one round trip and one transaction."""

    @abstractmethod
    async def transact(self, work: Callable[[Gateway], Awaitable[T]]) -> T:
        """Do all of `work` in one transaction; it is called again when a migration is run."""

    @abstractmethod
    async def fetch(self, statement: Statement) -> Rows:
        """The rows of a statement of `pgq.producer`."""


class Database(Gateway):
    """Each call is a transaction of its own, over a few sessions that are kept open."""

    def __init__(self, dsn: str, *, size: int) -> None:
        self._sessions = Sessions(
            lambda: dsn,
            size=size,
            patience=PATIENCE,
            adapt=extremes.tolerate,
            application_name="pgq server",
            statement_timeout=STATEMENT_TIMEOUT,
        )

    async def batch(self, *verbs: Verb) -> list[list[Row]]:
        return await self._tried(lambda session: _batch(session, verbs))

    async def fetch(self, statement: Statement) -> Rows:
        return await self._sessions.fetch(statement)

    async def transact(self, work: Callable[[Gateway], Awaitable[T]]) -> T:
        async def within(session: Session) -> T:
            async with session.connection.transaction():
                return await work(_Transaction(session))

        return await self._tried(within)

    async def close(self) -> None:
        """Close the sessions."""
        await self._sessions.close()

    async def _tried(self, work: Callable[[Session], Awaitable[T]]) -> T:
        try:
            async with self._sessions.session() as session:
                return await work(session)
        except (psycopg.Error, errors.PgqError) as error:
            if not is_changed(error):
                raise
        await self._sessions.close()
        async with self._sessions.session() as session:
            return await work(session)


class _Transaction(Gateway):
    in_transaction = True

    def __init__(self, session: Session) -> None:
        self._session = session

    async def batch(self, *verbs: Verb) -> list[list[Row]]:
        with database.translated():
            return await _batch(self._session, verbs)

    async def transact(self, work: Callable[[Gateway], Awaitable[T]]) -> T:
        return await work(self)

    async def fetch(self, statement: Statement) -> Rows:
        with database.translated():
            return await self._session.fetch(statement)


async def _batch(session: Session, verbs: Sequence[Verb]) -> list[list[Row]]:
    if len(verbs) == 1:
        rows = await session.fetch(verbs[0].statement)
        return [_named(rows, verbs[0])]
    async with session.connection.pipeline():
        cursors = [session.connection.cursor() for _ in verbs]
        for cursor, each in zip(cursors, verbs, strict=True):
            statement = each.statement
            await cursor.execute(render(statement.sql, "%s").encode(), statement.values)
        answers = [await cursor.fetchall() for cursor in cursors]
    return [_named(rows, each) for rows, each in zip(answers, verbs, strict=True)]


def _named(rows: Rows, call: Verb) -> list[Row]:
    names = _names(call.columns)
    return [dict(zip(names, row, strict=True)) for row in rows]


@lru_cache(maxsize=512)
def _names(columns: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(
        column.partition(" as ")[2] or column.partition("::")[0]
        for column in columns or ("answer",)
    )


@lru_cache(maxsize=512)
def _query(name: str, columns: tuple[str, ...], arguments: tuple[str, ...]) -> str:
    selected = sql.SQL(", ").join(_column(column) for column in columns or ("answer",))
    given = sql.SQL(", ").join(
        sql.SQL("{} => ?").format(sql.Identifier(argument)) for argument in arguments
    )
    query = sql.SQL("select {} from {}({}) as answer")
    return query.format(selected, sql.Identifier("pgq", name), given).as_string(None)


def _column(text: str) -> sql.Composable:
    source, renamed, other = text.partition(" as ")
    name, cast, kind = source.partition("::")
    column: sql.Composable = sql.Identifier(name)
    if cast:
        column = sql.SQL("cast({} as {})").format(column, sql.Identifier(kind))
    if cast or renamed:
        column = sql.SQL("{} as {}").format(column, sql.Identifier(other or name))
    return column
