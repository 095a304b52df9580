"""The SQL verbs, called by name with named arguments."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from pgq import config, database, extremes, schema
from pgq.cli import options

Session = psycopg.Connection[Any]
Row = dict[str, Any]

_CHANGED = ("42883", "XX000")
"""Function does not exist, cache lookup failed: what a migration beside us looks like."""


@contextmanager
def session() -> Iterator[Session]:
    """A session with the configured database, whose schema is new enough."""
    dsn = config.dsn(options.load())
    # Only closed: psycopg's own block rolls back, with a warning when a query was interrupted.
    with closing(database.connect(dsn)) as opened:
        schema.check(opened)
        extremes.tolerate(opened)
        yield opened


def rows(opened: Session, verb: str, columns: Sequence[str], /, **arguments: Any) -> list[Row]:
    """The named columns of what a verb answers. `name::type` casts one. Raises `pgq.errors`."""
    query = sql.SQL("select {} from {} as answer").format(
        sql.SQL(", ").join(map(_column, columns)), _call(verb, arguments)
    )
    with database.translated():
        try:
            return _run(opened, query, arguments)
        except psycopg.Error as error:
            if error.sqlstate not in _CHANGED:
                raise
        return _run(opened, query, arguments)


def row(opened: Session, verb: str, columns: Sequence[str], /, **arguments: Any) -> Row:
    """The one row that a verb answers."""
    return rows(opened, verb, columns, **arguments)[0]


def value(opened: Session, verb: str, /, **arguments: Any) -> Any:
    """The one value that a verb answers."""
    return rows(opened, verb, ["answer"], **arguments)[0]["answer"]


def now(opened: Session) -> datetime:
    """The database's time."""
    (moment,) = database.fetch_one(opened, "select clock_timestamp()")
    assert isinstance(moment, datetime)
    return moment


def _run(opened: Session, query: sql.Composed, arguments: Row) -> list[Row]:
    with opened.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query, arguments).fetchall()


def _call(verb: str, arguments: Row) -> sql.Composed:
    named = (
        sql.SQL("{} => {}").format(sql.Identifier(f"p_{name}"), sql.Placeholder(name))
        for name in arguments
    )
    return sql.SQL("{}({})").format(sql.Identifier("pgq", verb), sql.SQL(", ").join(named))


def _column(name: str) -> sql.Composable:
    name, cast, kind = name.partition("::")
    column = sql.Identifier(name)
    if not cast:
        return column
    return sql.SQL("cast({} as {}) as {}").format(column, sql.Identifier(kind), column)
