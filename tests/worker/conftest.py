"""Workers that run the tasks of these tests."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

sys.path.insert(0, str(Path(__file__).parent))

import pooler
from support import Jobs, Ledger, Worker


@pytest.fixture
def jobs(conn: psycopg.Connection[Any]) -> Jobs:
    """The jobs of a database whose leases are short."""
    conn.execute(
        "select pgq.configure(p_lease => '3 s', p_heartbeat => '0.5 s', p_poll => '0.25 s', "
        "p_backoff_base => '0.05 s', p_backoff_max => '0.1 s')"
    )
    return Jobs(conn)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger")


@pytest.fixture
def start(dsn: str, jobs: Jobs, ledger: Ledger, tmp_path: Path) -> Iterator[Callable[..., Worker]]:
    """Starts workers; whatever is left of them ends with the test."""
    workers: list[Worker] = []

    def start_worker(
        *options: str, app: str = "handlers:app", url: str = dsn, **environment: str
    ) -> Worker:
        direct = {"PGQ_LISTEN_URL": url} if pooler.WANTED else {}
        worker = Worker(
            pooler.through(url),
            *options,
            app=app,
            log=tmp_path / f"worker-{len(workers)}.log",
            environment={"PGQ_TEST_LEDGER": str(ledger.path), **direct, **environment},
        )
        workers.append(worker)
        return worker

    yield start_worker
    for worker in workers:
        worker.destroy()
        sys.stderr.write(worker.log.read_text())


@pytest.fixture
def worker(start: Callable[..., Worker]) -> Worker:
    """A worker on the queue `default` with one process."""
    return start()
