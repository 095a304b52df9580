"""Those that we are compared with, each with its own fastest public settings."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from peers.install import Installed
from peers.system import System

BENCH = Path(__file__).parents[1]
GRAPHILE_UNFINISHED = "select count(*) from graphile_worker._private_jobs"
ENQUEUE = {"enqueue_1": 450, "enqueue_16": 1_100}


def rivals(
    installed: Installed, databases: Callable[[], AbstractContextManager[str]], logs: Path
) -> list[System]:
    """All of them."""

    def python(name: str) -> dict[str, object]:
        return {
            "command": [str(installed.python), "-m", f"peers.drivers.{name}"],
            "environment": {"PYTHONPATH": str(BENCH)},
            "databases": databases,
            "log": logs / f"{name}.log",
        }

    def node(name: str) -> dict[str, object]:
        return {
            "command": [installed.node, str(installed.node_folder / f"{name}.mjs")],
            "environment": {"NODE_ENV": "production"},
            "databases": databases,
            "log": logs / f"{name}.log",
        }

    return [
        System(
            name="procrastinate",
            title="Procrastinate",
            settings="psycopg, uvloop, concurrency 30, a pool of 31, LISTEN on",
            paces={**ENQUEUE, "batch": 2_000, "drain_1": 350, "drain_4": 800, "pinned": 180},
            unfinished_sql=(
                "select count(*) from procrastinate_jobs where status in ('todo', 'doing')"
            ),
            kept_sql="select count(*) from procrastinate_jobs",
            table="procrastinate_jobs",
            **python("procrastinate"),  # type: ignore[arg-type]
        ),
        System(
            name="pgqueuer",
            title="PgQueuer",
            settings="asyncpg, uvloop, batch_size 500, a connection of its own for each queue "
            "manager, the settings of `pgq autovac`",
            paces={
                "enqueue_1": 900,
                "enqueue_16": 1_100,
                "batch": 25_000,
                "drain_1": 15_000,
                "drain_4": 30_000,
                "pinned": 7_000,
            },
            unfinished_sql="select count(*) from pgqueuer",
            kept_sql="select count(*) from pgqueuer",
            table="pgqueuer",
            **python("pgqueuer"),  # type: ignore[arg-type]
        ),
        System(
            name="pg_boss",
            title="pg-boss",
            settings="batchSize 1,000, burstWhenBatchFull, useListenNotify and a queue with "
            "notify, priority and orderByCreatedOn off",
            paces={
                **ENQUEUE,
                "batch": 14_000,
                "drain_1": 22_000,
                "drain_4": 45_000,
                "pinned": 10_000,
            },
            unfinished_sql=(
                "select count(*) from pgboss.job "
                "where name = 'noop' and state in ('created', 'retry', 'active')"
            ),
            kept_sql="select count(*) from pgboss.job where name = 'noop'",
            table="pgboss.job",
            **node("pg_boss"),  # type: ignore[arg-type]
        ),
        System(
            name="graphile_worker",
            title="Graphile Worker, default",
            settings="concurrentJobs 24, maxPoolSize 25",
            paces={
                **ENQUEUE,
                "batch": 23_000,
                "drain_1": 3_500,
                "drain_4": 3_500,
                "pinned": 500,
            },
            unfinished_sql=GRAPHILE_UNFINISHED,
            kept_sql=GRAPHILE_UNFINISHED,
            table="graphile_worker._private_jobs",
            **node("graphile_worker"),  # type: ignore[arg-type]
        ),
        System(
            name="graphile_worker_batched",
            title="Graphile Worker, batched",
            settings="concurrentJobs 24, maxPoolSize 25, localQueue.size 500, "
            "completeJobBatchDelay 0, failJobBatchDelay 0",
            paces={
                **ENQUEUE,
                "batch": 23_000,
                "drain_1": 35_000,
                "drain_4": 70_000,
                "pinned": 9_000,
            },
            unfinished_sql=GRAPHILE_UNFINISHED,
            kept_sql=GRAPHILE_UNFINISHED,
            table="graphile_worker._private_jobs",
            extra={"batched": True},
            same_client_as="graphile_worker",
            **node("graphile_worker"),  # type: ignore[arg-type]
        ),
    ]
