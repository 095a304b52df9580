"""A server process, and a client of it."""

from __future__ import annotations

import hashlib
import itertools
import os
import re
import secrets
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg

import pooler
import processes
import servers
from processes import Command

_numbers = itertools.count(1)


class Service:
    """A `pgq server` process that answers."""

    def __init__(self, command: Command) -> None:
        self.command = command
        self.url = command.said(r"pgq serves (\S+)/\n")[1]
        self._clients: list[httpx.Client] = []

    def client(self, token: str | None = None, **options: Any) -> httpx.Client:
        """A client of the API; paths are relative to the root. It ends with the service."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        headers |= options.pop("headers", {})
        client = httpx.Client(
            base_url=self.url, headers=headers, timeout=processes.PATIENCE, **options
        )
        self._clients.append(client)
        return client

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Tell it to stop, and wait for its exit status."""
        self.command.process.send_signal(number)
        return self.command.ended()

    def close(self) -> None:
        for client in self._clients:
            client.close()


@dataclass(frozen=True)
class Hall:
    """A server on loopback and its database, which the tests of a module share."""

    dsn: str
    service: Service
    api: httpx.Client
    conn: psycopg.Connection[Any]

    def connect(self) -> psycopg.Connection[Any]:
        """Another session; its block rolls back what it did not commit."""
        return psycopg.connect(self.dsn, autocommit=True)


@contextmanager
def serving(folder: Path, dsn: str, *options: str, **environment: str) -> Iterator[Service]:
    """A server on a free port of loopback, for a while."""
    arguments = [*options] if "--port" in options else ["--port", "0", *options]
    folder.mkdir(parents=True, exist_ok=True)
    with processes.running(
        folder, "server", *arguments, DATABASE_URL=pooler.through(dsn), **environment
    ) as command:
        service = Service(command)
        try:
            yield service
        finally:
            service.close()


@contextmanager
def opened(
    server: str, template: str, folder: Path, *options: str, **environment: str
) -> Iterator[Hall]:
    """A server, with a database of its own that knows a token."""
    name = f"pgq_hall_{os.getpid()}_{next(_numbers)}"
    with (
        servers.database(server, name, template=template) as dsn,
        psycopg.connect(dsn, autocommit=True) as conn,
    ):
        token(conn, "admin")
        with serving(folder, dsn, *options, **environment) as service:
            yield Hall(dsn, service, service.client(), conn)


def problem(answer: httpx.Response, status: int, name: str) -> dict[str, Any]:
    """The problem that was answered, which has this status and name."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    found: dict[str, Any] = answer.json()
    assert found["type"] == f"urn:pgq:problem:{name}", found
    assert found["status"] == status
    assert re.search(r"\w", found["title"] + found["detail"])
    return found


def token(
    conn: psycopg.Connection[Any],
    *scopes: str,
    queues: list[str] | None = None,
    lasts: str | None = None,
) -> str:
    """A token with these scopes."""
    secret = f"pgq_{secrets.token_urlsafe(32)}"
    conn.execute(
        "select pgq.create_token(%s, %s, %s, %s, %s)",
        [
            f"test {secret[4:12]}",
            hashlib.sha256(secret.encode()).digest(),
            list(scopes),
            queues,
            lasts,
        ],
    )
    return secret


def enqueue(conn: psycopg.Connection[Any], task: str = "mail", **columns: Any) -> int:
    """A job made by SQL."""
    names = ["task", *columns]
    row = conn.execute(
        f"insert into pgq.job ({', '.join(names)}) values ({', '.join(['%s'] * len(names))}) "
        "returning id",
        [task, *columns.values()],
    ).fetchone()
    assert row
    return int(row[0])


def claim(conn: psycopg.Connection[Any], queue: str, *, limit: int = 1) -> list[tuple[int, str]]:
    """Ids and tokens of jobs that are running from now on."""
    rows = conn.execute(
        "select id, token::text from pgq.claim(0, 0, gen_random_uuid(), array[%s], array[%s], "
        "'1 hour')",
        [queue, limit],
    )
    return [(int(job), token) for job, token in rows.fetchall()]


def bury(
    conn: psycopg.Connection[Any], job: int, queue: str, message: str = "no such user"
) -> None:
    """Have a job fail for good."""
    ((claimed, token),) = claim(conn, queue)
    assert claimed == job
    conn.execute(
        "select pgq.fail(%s, %s, 'ValueError', %s, p_permanent => true)", [job, token, message]
    )
