"""The server that all are measured on: durable, of our own, thrown away at the end."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from urllib.parse import quote, urlencode

from psycopg.conninfo import conninfo_to_dict

from peers.processes import seconds_of_family
from pgq import scratch
from pgq.errors import ConfigError
from pgq_bench.server import SETTINGS, Server, opened, value

CONNECTIONS = 400


class Cluster:
    """Gives each measurement a new database: empty, or with our schema."""

    def __init__(self, dsn: str, ours: Server) -> None:
        self._dsn = dsn
        self._ours = ours
        self._numbers = count(1)

    def facts(self) -> dict[str, str]:
        """What a reader of the figures has to know about the server."""
        return self._ours.facts()

    @contextmanager
    def empty(self) -> Iterator[str]:
        """The address of a new database with nothing in it, dropped at the end."""
        with scratch.new_database(self._dsn, f"peers_{os.getpid()}_{next(self._numbers)}") as dsn:
            yield address(dsn)

    @contextmanager
    def ours(self) -> Iterator[str]:
        """The address of a new database with our schema and 40 day partitions, likewise."""
        with self._ours.fresh() as dsn:
            yield address(dsn)


@contextmanager
def cluster(bin_dir: Path | None) -> Iterator[Cluster]:
    """A server with durable commits, removed at the end. Raises `ConfigError` if it is not so."""
    settings = {**SETTINGS, "max_connections": str(CONNECTIONS)}
    with scratch.server(None, bin_dir=bin_dir, settings=settings) as dsn, Server(dsn) as ours:
        facts = ours.facts()
        if (facts["fsync"], facts["synchronous_commit"]) != ("on", "on"):
            raise ConfigError("the server's commits are not durable")
        yield Cluster(dsn, ours)


def address(dsn: str) -> str:
    """A connection string as a URL that asyncpg and node-postgres understand as well."""
    parts = {key: str(part) for key, part in conninfo_to_dict(dsn).items()}
    return f"postgresql:///{quote(parts.pop('dbname'))}?{urlencode(parts)}"


class Cost:
    """What the server spent: processor time of all its processes, and write-ahead log.

    Not `pg_stat_database.active_time`, which loses what a statement took before its execution.
    """

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._begun = self._now()

    def since(self) -> tuple[float, float]:
        """Seconds (0 if this system does not tell) and bytes since this object was made."""
        ended = self._now()
        return ended[0] - self._begun[0], ended[1] - self._begun[1]

    def _now(self) -> tuple[float, float]:
        with opened(self._dsn) as session:
            postmaster = int(
                value(session, "select split_part(pg_read_file('postmaster.pid'), E'\\n', 1)")
            )
            written = value(session, "select pg_current_wal_insert_lsn() - '0/0'::pg_lsn")
            return seconds_of_family(postmaster), float(written)
