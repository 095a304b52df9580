"""The server that all are measured on: durable, of our own, thrown away at the end."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from urllib.parse import quote, urlencode

from psycopg.conninfo import conninfo_to_dict

from pgq.errors import ConfigError
from pgq_bench.server import SETTINGS, Server, Session, opened, value
from pgq_worker import scratch

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
    """What the server spent on one database: statements' time, and write-ahead log."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._begun = self._now()
        self._spared = 0.0

    def spare(self, seconds: float) -> None:
        """Do not count time that the bench itself has made sessions wait."""
        self._spared += seconds

    def since(self) -> tuple[float, float]:
        """Seconds and bytes since this object was made; sessions report theirs when they end."""
        ended = self._now()
        return ended[0] - self._begun[0] - self._spared, ended[1] - self._begun[1]

    def _now(self) -> tuple[float, float]:
        with opened(self._dsn) as session:
            return self._seconds(session), float(
                value(session, "select pg_current_wal_insert_lsn() - '0/0'::pg_lsn")
            )

    def _seconds(self, session: Session) -> float:
        # active_time: in statements, from a session's point of view, waiting for locks and disk
        # included.
        return float(
            value(
                session,
                "select d.active_time / 1000 from pg_stat_database d "
                "where d.datname = current_database()",
            )
        )
