"""The schema's versions, and the migrator: the only part of the program that runs DDL."""

from __future__ import annotations

import hashlib
import random
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from pgq import database
from pgq.errors import Busy, SchemaMismatch


@dataclass(frozen=True)
class Migration:
    """One numbered file; forward only."""

    version: int
    name: str
    text: str


@dataclass(frozen=True)
class MigrationReport:
    """What a migration did. `warnings` tell what it could not do and what to run for that."""

    before: int
    after: int
    applied: tuple[str, ...]
    warnings: tuple[str, ...]


def sql_root() -> Path:
    """The folder of the SQL: beside this module when installed, else the checkout's."""
    beside = Path(__file__).parent / "sql"
    return beside if beside.is_dir() else Path(__file__).parent.parent / "sql"


def migrations() -> list[Migration]:
    """All that this release ships, in order."""
    files = sorted((sql_root() / "migrations").glob("[0-9]*.sql"))
    return [Migration(int(file.stem.split("_")[0]), file.stem, file.read_text()) for file in files]


def functions() -> list[Path]:
    """The files of the routines and views, helpers first; each migration applies all of them."""
    files = (sql_root() / "functions").glob("*.sql")
    return sorted(files, key=lambda file: (not file.name.startswith("_"), file.name))


ROLES = ("pgq_enqueuer", "pgq_worker", "pgq_viewer", "pgq_operator", "pgq_admin")
"""Group roles that the schema grants its verbs to."""


@dataclass(frozen=True)
class Routine:
    """A routine as its file declares it."""

    digest: str
    """Of its body."""
    is_definer: bool
    is_pinned: bool
    roles: tuple[str, ...]
    """Who may call it, beside the owner."""


_ROUTINE = re.compile(
    r"^create or replace (?:function|procedure) pgq\.(\w+)\((.*?)^as (\$\w*\$)(.*?)\3;", re.M | re.S
)
_GRANT = re.compile(r"pgq\._allow\('(\w+)'((?:, '\w+')*)\)")


def routines() -> dict[str, Routine]:
    """Every routine that this release ships, by its name."""
    texts = [file.read_text() for file in functions()]
    allowed = {
        name: tuple(re.findall(r"\w+", roles))
        for text in texts
        for name, roles in _GRANT.findall(text)
    }
    return {
        name: Routine(
            digest=digest(body),
            is_definer=bool(re.search(r"^security definer", header, re.M)),
            is_pinned=bool(re.search(r"^set search_path = ''", header, re.M)),
            roles=allowed.get(name, ()),
        )
        for text in texts
        for name, header, _, body in _ROUTINE.findall(text)
    }


def digest(body: str) -> str:
    """By which two bodies of a routine, or two migrations, are compared."""
    return hashlib.sha256(body.encode()).hexdigest()


VERSION: int = migrations()[-1].version
"""Of the schema that this release ships."""


PAUSE = 1.0
"""Seconds, about, between two attempts to get the locks of a migration."""
PATIENCE = 600.0
"""Seconds for which they are made."""


def migrate(
    conninfo: str,
    *,
    patience: float = PATIENCE,
    on_wait: Callable[[str], None] = lambda _: None,
) -> MigrationReport:
    """Bring the schema to this release's version, in one transaction.

    Any number may run at once. Running it again changes nothing but replaces every function. It
    never makes anybody wait long for a table that is in use: it gives way, tells `on_wait` who
    holds it, and begins anew. Raises `errors.SchemaMismatch` for a schema `pgq` of somebody else's,
    of a newer release or from between two, `errors.Busy` when it had to give way for `patience`
    seconds.
    """
    deadline = time.monotonic() + patience
    with (
        database.translated(conninfo, installed=False),
        database.connect(
            conninfo,
            application_name="pgq migrate",
            statement_timeout=0,
            idle_in_transaction_timeout=0,
        ) as session,
    ):
        warnings: list[str] = []
        session.add_notice_handler(lambda notice: _collect(notice, warnings))
        session.execute("set client_min_messages = warning")
        session.execute("set default_transaction_isolation = 'read committed'")
        while True:
            warnings.clear()
            try:
                with session.transaction():
                    before, applied = _apply(session)
                return MigrationReport(before, VERSION, tuple(applied), tuple(warnings))
            except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
                holder = _holder(session)
                if time.monotonic() > deadline:
                    raise Busy(
                        f"a table of the queue is in use by {holder}",
                        hint="Nothing was changed. Run `pgq migrate` again when that has ended.",
                    ) from None
            on_wait(holder)
            time.sleep(PAUSE * random.uniform(0.5, 1.5))  # noqa: S311


def script() -> str:
    """What `migrate` does, for psql to run."""
    return "\n".join(_script())


def check(session: psycopg.Connection[Any]) -> int:
    """The database's version, which may be newer than ours. Raises `errors.SchemaMismatch` if it is
    older or there is none."""
    with database.translated():
        return _judged(session.execute("select pgq.version()").fetchone())


async def check_async(session: psycopg.AsyncConnection[Any]) -> int:
    """`check`, over an asynchronous session."""
    with database.translated():
        return _judged(await (await session.execute("select pgq.version()")).fetchone())


def _judged(row: Any) -> int:
    version = int(row[0])
    if version < VERSION:
        raise SchemaMismatch(
            f"the schema is version {version}, older than version {VERSION} of this program",
            hint="Run `pgq migrate`.",
        )
    return version


def _apply(session: psycopg.Connection[Any]) -> tuple[int, list[str]]:
    _run(session, _announcement())
    for part in ("schema", "roles"):
        _run(session, _part(part))
    (before,) = database.fetch_one(session, "select current_setting('pgq.version_before')::integer")
    pending = [migration for migration in migrations() if migration.version > before]
    for migration in pending:
        _run(session, migration.text)
        _run(session, _record(migration))
    for file in functions():
        _run(session, _replacement(file))
    for part in ("leftovers", "grants"):
        _run(session, _part(part))
    _run(session, "select pgq.partition()")
    return before, [migration.name for migration in pending]


def _script() -> Iterator[str]:
    yield "\\set ON_ERROR_STOP on\nbegin isolation level read committed;"
    yield _announcement()
    yield from map(_part, ("schema", "roles"))
    for migration in migrations():
        yield (
            f"select current_setting('pgq.version_before')::integer < {migration.version} "
            "as pending \\gset\n\\if :pending"
        )
        yield f"{migration.text}\n{_record(migration)};\n\\endif"
    yield from map(_replacement, functions())
    yield from map(_part, ("leftovers", "grants"))
    yield "select pgq.partition();\ncommit;"


def _holder(session: psycopg.Connection[Any]) -> str:
    """Whose transaction has been open for longest, of those that hold a table of the queue."""
    row = session.execute(
        """
        select a.pid, a.usename, a.application_name, c.relname
        from pg_locks l
        join pg_class c on c.oid = l.relation
        join pg_stat_activity a on a.pid = l.pid
        where c.relnamespace = to_regnamespace('pgq')
            and c.relkind in ('r', 'p')
            and l.granted
            and l.database = (select d.oid from pg_database d where d.datname = current_database())
            and a.pid <> pg_backend_pid()
        order by a.xact_start, c.relkind, c.relname
        limit 1
        """
    ).fetchone()
    if row is None:
        return "a transaction that has ended by now"
    pid, user, application, relation = row
    return f"pid {pid} of {user}{f' ({application})' if application else ''}, pgq.{relation}"


def _part(name: str) -> str:
    return (sql_root() / f"{name}.sql").read_text()


def _replacement(file: Path) -> str:
    """Applies a file; if a routine of it took other arguments or returned other columns, drops that
    first."""
    text = file.read_text()
    names = sorted(
        set(re.findall(r"^create or replace (?:function|procedure) pgq\.(\w+)", text, re.M))
    )
    return f"""\
do $pgq_migrate$
declare
    v_file    text := $pgq_file${text}$pgq_file$;
    v_routine regprocedure;
begin
    execute v_file;
exception
    when invalid_function_definition or ambiguous_function then
        for v_routine in
            select p.oid
            from pg_proc p
            where p.pronamespace = 'pgq'::regnamespace
                and p.proname = any('{{{",".join(names)}}}')
        loop
            execute format('drop routine %s', v_routine);
        end loop;
        execute v_file;
end
$pgq_migrate$;"""


def _announcement() -> str:
    digests = ",".join(digest(migration.text) for migration in migrations())
    return (
        f"select set_config('pgq.shipped_version', '{VERSION}', true), "
        f"set_config('pgq.shipped_digests', '{{{digests}}}', true);"
    )


def _record(migration: Migration) -> str:
    return (
        sql.SQL("insert into pgq.migration (version, name, digest) values ({}, {}, {})")
        .format(migration.version, migration.name, digest(migration.text))
        .as_string()
    )


def _run(session: psycopg.Connection[Any], text: str) -> None:
    session.execute(text.encode())


def _collect(notice: psycopg.errors.Diagnostic, warnings: list[str]) -> None:
    if notice.severity_nonlocalized == "WARNING":
        parts = (notice.message_primary, notice.message_hint)
        warnings.append(". ".join(part for part in parts if part))
