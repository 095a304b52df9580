"""The service itself."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from pgq_server.models.base import Instant, Reply, Request, whole


class Health(Reply):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Readiness(Reply):
    """The database is there, with a schema that this release can use."""

    status: Literal["ready"] = "ready"
    schema_version: int


class Count(Reply):
    """One count of a queue, since the installation."""

    queue: str
    metric: str
    label: str
    bucket: float | None
    n: int
    sum: float


class Stats(Reply):
    """All counts."""

    items: list[Count]


class SampleQuery(Request):
    """Which samples."""

    after: Instant | None = Field(default=None, description="Later ones only.")
    limit: Annotated[int, Field(ge=1, le=10_000), BeforeValidator(whole)] = 3000


class Sample(Reply):
    """A count at a minute, over all queues."""

    at: Instant
    metric: str
    label: str
    n: int


class Samples(Reply):
    """Samples in the order of time."""

    items: list[Sample]
