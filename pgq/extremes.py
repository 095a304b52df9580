"""Times and durations that Postgres has and Python has not: one job's must not hide all others."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from psycopg.abc import Buffer
from psycopg.types.datetime import IntervalLoader, TimestamptzLoader

EARLIEST = datetime(1, 1, 3, tzinfo=UTC)
LATEST = datetime(9999, 12, 29, tzinfo=UTC)
"""Stand for anything beyond; two days from the edge, so that they exist in every zone."""


class _Timestamptz(TimestamptzLoader):
    def load(self, data: Buffer) -> datetime:
        try:
            return min(max(super().load(data), EARLIEST), LATEST)
        except psycopg.DataError:
            return EARLIEST if bytes(data).endswith(b"BC") else LATEST


class _Interval(IntervalLoader):
    def load(self, data: Buffer) -> timedelta:
        try:
            return super().load(data)
        except (psycopg.DataError, OverflowError):
            return timedelta.max


def tolerate(session: psycopg.Connection[Any] | psycopg.AsyncConnection[Any]) -> None:
    """Let the session read such values as the nearest that Python has."""
    session.adapters.register_loader("timestamptz", _Timestamptz)
    session.adapters.register_loader("interval", _Interval)
