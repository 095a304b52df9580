"""Jobs, as they are asked for and told of."""

from __future__ import annotations

from pgq_server.models.base import Instant, Reply, Seconds, State


class JobSummary(Reply):
    """A job in a list."""

    id: int
    task: str
    queue: str
    priority: int
    state: State
    attempt: int
    crashes: int
    suspect: bool
    run_at: Instant | None
    created_at: Instant
    claimed_at: Instant | None
    started_at: Instant | None
    finished_at: Instant | None
    worker: int | None
    tags: list[str]


class JobDetail(Reply):
    """A job, without its payload."""

    id: int
    task: str
    queue: str
    priority: int
    state: State
    attempt: int
    max_attempts: int
    crashes: int
    suspect: bool
    run_at: Instant | None
    created_at: Instant
    claimed_at: Instant | None
    started_at: Instant | None
    finished_at: Instant | None
    worker: int | None
    worker_name: str | None
    timeout_seconds: Seconds
    unique_key: str | None
    tags: list[str]
    reason: str | None
    error_class: str | None
    message: str | None
    cancel_requested: bool
