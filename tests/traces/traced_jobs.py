"""Jobs of these tests, and what processes say about them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import httpx
import psycopg
from psycopg.types.json import Json
from receiver import Receiver

import processes
from processes import Command

CALLER = "00f067aa0ba902b7"
"""The span of whoever asks."""


class Jobs:
    """Jobs in a test's database, made by SQL."""

    def __init__(self, conn: psycopg.Connection[Any]) -> None:
        self._conn = conn
        conn.execute("select pgq.configure(p_backoff_base => '0.05 s', p_backoff_max => '0.1 s')")

    def add(self, task: str = "greet", payload: object = None, **columns: Any) -> int:
        """Insert a job; its id."""
        if "headers" in columns:
            columns["headers"] = Json(columns["headers"])
        values = {"task": task, "payload": Json(payload or {}), **columns}
        return int(
            self.one(
                f"insert into pgq.job ({', '.join(values)}) "
                f"values ({', '.join(['%s'] * len(values))}) returning id",
                *values.values(),
            )
        )

    def one(self, query: str, *values: Any) -> Any:
        """The only value of the only row."""
        row = self._conn.execute(query.encode(), values).fetchone()
        assert row
        return row[0]

    def wait(self, job: int, state: str = "succeeded") -> None:
        """Wait until it is in this state."""
        processes.wait(lambda: self.one("select state from pgq.get_job(%s)", job) == state)

    def headers(self, job: int) -> dict[str, Any]:
        """As they are stored."""
        return dict(self.one("select headers from pgq.get_payload(%s)", job) or {})

    def last(self, task: str) -> int:
        """The last job of a task."""
        return int(self.one("select max(id) from pgq.job where task = %s", task))


@dataclass(frozen=True)
class Hall:
    """A server and a worker that send their spans to a receiver, for the tests of a module."""

    dsn: str
    api: httpx.Client
    jobs: Jobs
    receiver: Receiver


def lines(command: Command, message: str) -> list[dict[str, Any]]:
    """The lines of its log, in JSON, whose message has this text."""
    found = [json.loads(line) for line in command.output.splitlines() if line.startswith("{")]
    return [line for line in found if message in line["message"]]
