"""Sessions with the database: how they are opened, and what their errors become.

Every session is in autocommit and bounded: a statement, an idle transaction and a dead network end
in time. The caller's own connections never come through here.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, LiteralString

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import TupleRow

from pgq import errors

STATEMENT_TIMEOUT = 30.0
"""Seconds."""
IDLE_IN_TRANSACTION_TIMEOUT = 60.0
"""Seconds."""

_NETWORK: Mapping[str, Any] = {
    "connect_timeout": 10,
    "tcp_user_timeout": 10_000,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
}
_GONE = ("08", "25006", "28", "3D", "53", "57P", "58")
"""No fault of the statement: no connection, no room, no writes for now (25006), no such server."""
_MISSING = ("3F000", "42P01", "42883")


def parse(dsn: str) -> dict[str, Any]:
    """The parameters that a connection string names.

    Raises `errors.ConfigError`, without quoting the string, since any part of one that is malformed
    may be a password.
    """
    try:
        values = conninfo_to_dict(dsn)
    except psycopg.ProgrammingError:
        values = {"port": "malformed"}
    ports = str(values.get("port") or "0").split(",")
    if "@" in str(values.get("host") or "") or not all(
        port.isdigit() or not port for port in ports
    ):
        raise errors.ConfigError(
            "the database's connection string is malformed; expected "
            "postgresql://user:password@host:port/database, with special characters of the "
            "password percent-encoded"
        )
    return values


def shown(dsn: str) -> str:
    """The connection string with its password masked, to be shown to people."""
    values = parse(dsn)
    for name in ("password", "sslpassword"):
        if values.get(name):
            values[name] = "***"
    return make_conninfo("", **values)


def parameters(
    dsn: str,
    *,
    application_name: str = "pgq",
    statement_timeout: float = STATEMENT_TIMEOUT,
    idle_in_transaction_timeout: float = IDLE_IN_TRANSACTION_TIMEOUT,
    limits: bool = True,
) -> dict[str, Any]:
    """Arguments for `psycopg.connect` or a pool's `kwargs`; what `dsn` names itself wins.

    Timeouts are seconds. Statements are not prepared, which not every pooler can take.
    Without `limits` the session has the timeouts of its role: such a pooler does not pass them on.
    """
    values = {"application_name": application_name, **_NETWORK, **parse(dsn)}
    if limits:
        inherited = values.get("options") or _default("options")
        values["options"] = (
            f"-c statement_timeout={round(statement_timeout * 1000)} "
            f"-c idle_in_transaction_session_timeout={round(idle_in_transaction_timeout * 1000)} "
            f"{inherited}"
        ).strip()
    return {"autocommit": True, "prepare_threshold": None, **values}


def connect(dsn: str, **options: Any) -> psycopg.Connection[TupleRow]:
    """Open a session; `options` are those of `parameters`. Raises `errors.Unavailable`."""
    with translated(dsn):
        try:
            return psycopg.connect(**parameters(dsn, **options))
        except psycopg.OperationalError as error:
            if not _refused_by_pooler(error):
                raise
            return psycopg.connect(**parameters(dsn, **{**options, "limits": False}))


async def connect_async(dsn: str, **options: Any) -> psycopg.AsyncConnection[TupleRow]:
    """Open an asynchronous session; as `connect`."""
    with translated(dsn):
        try:
            return await psycopg.AsyncConnection.connect(**parameters(dsn, **options))
        except psycopg.OperationalError as error:
            if not _refused_by_pooler(error):
                raise
            unlimited = parameters(dsn, **{**options, "limits": False})
            return await psycopg.AsyncConnection.connect(**unlimited)


def shut(connection: psycopg.AsyncConnection[TupleRow]) -> None:
    """Shut a connection's socket: what waits for an answer on it fails at once."""
    try:
        with socket.socket(fileno=os.dup(connection.fileno())) as end:
            end.shutdown(socket.SHUT_RDWR)
    except (OSError, psycopg.Error):
        return


@contextmanager
def translated(dsn: str = "", *, installed: bool = True) -> Iterator[None]:
    """Raise the errors of `pgq.errors` in place of psycopg's.

    SQLSTATEs of the queue become their classes, a lost or refused connection `Unavailable`, a
    missing schema `SchemaMismatch`, where one is expected to be `installed`. Others pass as they
    are, since they are the caller's to judge.
    """
    try:
        yield
    except psycopg.Error as error:
        known = translation(error, dsn)
        foreseen = installed or error.sqlstate not in _MISSING
        if known is None or not foreseen:
            raise
        raise known from (None if isinstance(known, errors.Unavailable) else error)


@contextmanager
def answered(
    connection: psycopg.AsyncConnection[TupleRow], seconds: float, dsn: str = ""
) -> Iterator[None]:
    """`translated`, and bounded: after so long the connection loses its socket, with `Unavailable`.

    Nothing is cancelled, since that waits for an answer that a dead network never gives.
    """
    loop = asyncio.get_running_loop()
    timer = loop.call_later(seconds, shut, connection)
    try:
        with translated(dsn):
            yield
    except errors.Unavailable:
        if loop.time() < timer.when():
            raise
        raise errors.Unavailable(f"the database did not answer within {seconds:g} s") from None
    finally:
        timer.cancel()


def translation(error: psycopg.Error, dsn: str = "") -> errors.PgqError | None:
    """What `error` means in terms of this package, or None."""
    state, message = error.sqlstate, error.diag.message_primary or str(error)
    if state in errors.BY_SQLSTATE:
        kind = errors.BY_SQLSTATE[state]
        return kind(message, error.diag.message_detail, error.diag.message_hint)
    if state in _MISSING and "pgq" in message:
        return errors.SchemaMismatch(
            message, hint="Has `pgq migrate` of this release been run on this database?"
        )
    lost = state.startswith(_GONE) if state else isinstance(error, psycopg.OperationalError)
    return errors.Unavailable(masked(" ".join(str(error).split()), dsn)) if lost else None


def masked(text: str, dsn: str) -> str:
    """`text` without the password of `dsn`."""
    password = parse(dsn).get("password") if dsn else None
    return text.replace(str(password), "***") if password else text


def passwords(*dsns: str | None) -> list[str]:
    """The passwords in these connection strings."""
    values = [parse(dsn) for dsn in dsns if dsn]
    found = (value.get(name) for value in values for name in ("password", "sslpassword"))
    return [str(password) for password in found if password]


def fetch_one(
    session: psycopg.Connection[TupleRow], query: LiteralString, values: Any = None
) -> TupleRow:
    """The row of a statement that always has one."""
    row = session.execute(query, values).fetchone()
    if row is None:
        raise psycopg.ProgrammingError("the statement returned no row")
    return row


def _default(keyword: str) -> str:
    for option in psycopg.pq.Conninfo.get_defaults():
        if option.keyword == keyword.encode():
            return (option.val or b"").decode()
    return ""


def _refused_by_pooler(error: psycopg.OperationalError) -> bool:
    return "unsupported startup parameter" in str(error)


def is_pooled(session: psycopg.Connection[Any]) -> bool:
    """Whether a pooler in transaction mode stands between: it tells a client of a process that it
    makes up, since the server's changes with each transaction."""
    (pid,) = fetch_one(session, "select pg_backend_pid()")
    return bool(pid != session.info.backend_pid)
