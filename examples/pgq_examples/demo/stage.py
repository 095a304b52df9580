"""Where the demo plays: a database of its own, and workers that are real processes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, LiteralString, TypeVar

import click
import psycopg
from psycopg.rows import TupleRow

from pgq import App, PgqError, database, schema, scratch
from pgq_examples.demo.tasks import QUEUE
from pgq_worker.companion import Companion

NAMES = ("anna", "bert", "carl")
LEASE, HEARTBEAT, POLL = "3 seconds", "1 second", "200 milliseconds"
"""Of the demo's own database, so that nobody waits long to see a lost worker's job elsewhere."""
PATIENCE = 40.0
"""Seconds that anything may take, on a slow machine."""

T = TypeVar("T")


@dataclass(frozen=True)
class Check:
    """One line of the table: what should have happened, and what did."""

    what: str
    expected: str
    happened: str

    @property
    def agrees(self) -> bool:
        """Whether they are the same."""
        return self.expected == self.happened


class Stage:
    """The database, its session, the app bound to it, and the workers by name."""

    def __init__(
        self,
        dsn: str,
        session: psycopg.Connection[TupleRow],
        app: App,
        workers: dict[str, Companion],
    ) -> None:
        self.dsn = dsn
        self.app = app
        self.workers = workers
        self.session = session
        self._begun = time.monotonic()

    def say(self, text: str) -> None:
        """Tell the audience."""
        click.echo(f"{time.monotonic() - self._begun:5.1f} s  {text}")

    def rows(self, query: LiteralString, *values: Any) -> list[TupleRow]:
        """What a statement returns."""
        return self.session.execute(query, values).fetchall()

    def value(self, query: LiteralString, *values: Any) -> Any:
        """The one value that a statement returns."""
        return self.rows(query, *values)[0][0]

    def wait(self, what: str, look: Callable[[], T | None]) -> T:
        """What `look` finds, when it finds something. Raises when it takes too long."""
        deadline = time.monotonic() + PATIENCE
        while not (found := look()):
            if time.monotonic() > deadline:
                raise PgqError(f"the demo waited {PATIENCE:g} s for {what}")
            time.sleep(0.05)
        return found

    def is_done(self, job_id: int) -> bool:
        """Whether the job has succeeded."""
        return self.app.job(job_id).status_sync().state == "succeeded"


@contextmanager
def opened(named: str | None, *, bin_dir: Path | None, log: Path) -> Iterator[Stage]:
    """Set everything up, and take it all down afterwards."""
    with ExitStack() as stack:
        server = stack.enter_context(scratch.server(named, bin_dir=bin_dir))
        dsn = stack.enter_context(scratch.new_database(server, f"pgq_demo_{time.time_ns()}"))
        schema.migrate(dsn)
        session = stack.enter_context(database.connect(dsn, application_name="pgq demo"))
        session.execute(
            "select pgq.configure("
            "p_lease => %s::interval, p_heartbeat => %s::interval, p_poll => %s::interval)",
            [LEASE, HEARTBEAT, POLL],
        )
        session.execute("create table public.signature (job_id bigint, supervisor integer)")
        session.execute(
            "create table public.refusal (job_id bigint, supervisor integer, sqlstate text)"
        )
        workers = {
            name: stack.enter_context(
                Companion(
                    ["-a", "pgq_examples.demo.tasks:app", "-q", QUEUE, "--name", name],
                    database_url=dsn,
                    log=log,
                )
            )
            for name in NAMES
        }
        for worker in workers.values():
            stack.callback(worker.tell_to_stop)
        app = App(dsn)
        stack.callback(app.close_sync)
        stage = Stage(dsn, session, app, workers)
        stage.wait(
            "three workers to come up",
            lambda: stage.value("select count(distinct w.worker) from pgq.waiter w") >= len(NAMES),
        )
        yield stage
