"""Queues."""

from __future__ import annotations

from pgq_server.models.base import Instant, Reply, Seconds


class QueueSummary(Reply):
    """A queue in a list. Succeeded and cancelled are totals since the installation."""

    queue: str
    paused_at: Instant | None
    scheduled: int
    ready: int
    running: int
    retrying: int
    dead: int
    succeeded: int
    cancelled: int
    workers: int
    max_attempts: int
    timeout_seconds: Seconds


class Queues(Reply):
    """All queues, by name."""

    items: list[QueueSummary]
