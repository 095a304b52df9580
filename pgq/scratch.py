"""Databases to throw away: on a server that is thrown away too, or on one that the user names."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from pgq import database
from pgq.errors import ConfigError
from pgq.postgres import Postgres


@contextmanager
def server(
    named: str | None, *, bin_dir: Path | None = None, settings: Mapping[str, str] | None = None
) -> Iterator[str]:
    """The connection string of the named server, or of a new one that is removed at the end.

    `settings` are a new one's. Its commits are durable, on a disk. While it runs SIGTERM raises
    `SystemExit`, so that it is removed: for the main thread.
    """
    if named is not None:
        yield named
        return
    folder = Path(tempfile.mkdtemp(prefix="pgq-scratch-", dir=_disk()))
    folder.chmod(0o711)
    postgres = Postgres(folder, bin_dir=bin_dir, settings=settings)
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        postgres.start()
        yield postgres.dsn
    finally:
        postgres.close()
        shutil.rmtree(folder, ignore_errors=True)
        signal.signal(signal.SIGTERM, before)


@contextmanager
def new_database(server: str, name: str, *, template: str | None = None) -> Iterator[str]:
    """The connection string of a new database, dropped at the end whoever is in it.

    Raises `ConfigError` when the role may not make one.
    """
    command = sql.SQL("create database {}").format(sql.Identifier(name))
    if template:
        command += sql.SQL(" template {}").format(sql.Identifier(template))
    try:
        _administer(server, command)
    except psycopg.errors.InsufficientPrivilege:
        raise ConfigError(
            f"the role may not make the database {name}: name a server and role that may "
            "(alter role … createdb), or none, for a throw-away Postgres"
        ) from None
    try:
        yield make_conninfo(server, dbname=name)
    finally:
        drop = sql.SQL("drop database if exists {} with (force)")
        _administer(server, drop.format(sql.Identifier(name)))


def _administer(server: str, command: sql.Composed) -> None:
    with database.connect(server, statement_timeout=0) as session:
        session.execute(command)


def _disk() -> str:
    # /tmp is memory on some systems.
    return "/var/tmp" if os.path.isdir("/var/tmp") else tempfile.gettempdir()  # noqa: S108
