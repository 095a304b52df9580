"""Queues."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import ConfigDict, Field, model_validator

from pgq_server.models.base import Instant, Positive, Reply, Request, Seconds, check_some
from pgq_server.models.jobs import Attempts


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
    oldest_ready_at: Instant | None = Field(description="Since when the oldest ready job is ready.")


class Queues(Reply):
    """All queues, by name."""

    items: list[QueueSummary]


class QueueDetail(QueueSummary):
    """A queue with its settings."""

    backoff_base_seconds: Seconds
    backoff_max_seconds: Seconds
    payload_limit: int = Field(description="Bytes.")
    keep_finished_seconds: Seconds
    keep_dead_seconds: Seconds
    unknown_task_after_seconds: Seconds
    overridden: list[str] = Field(description="Settings that the queue has of its own.")


class QueueEdit(Request):
    """Settings to change. What is left out stays; null goes back to the service's value."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    max_attempts: Attempts | None = None
    timeout_seconds: Positive | None = None
    backoff_base_seconds: Seconds | None = None
    backoff_max_seconds: Seconds | None = None
    payload_limit: Annotated[int, Field(ge=1, le=1_073_741_823)] | None = None
    keep_finished_seconds: Seconds | None = None
    keep_dead_seconds: Seconds | None = None
    unknown_task_after_seconds: Seconds | None = None

    @model_validator(mode="after")
    def _some(self) -> Self:
        return check_some(self)
