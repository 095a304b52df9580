"""Running jobs over HTTP."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BeforeValidator, Field, WithJsonSchema

from pgq_server.models.base import (
    Instant,
    Name,
    Positive,
    RawJson,
    Reply,
    Request,
    Seconds,
    Text,
)

LONGEST_LEASE = timedelta(days=1)


def _uuid(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return UUID(value)
    except ValueError:
        raise ValueError("expected a UUID") from None


Uuid = Annotated[UUID, BeforeValidator(_uuid), WithJsonSchema({"type": "string", "format": "uuid"})]
LeaseSeconds = Annotated[
    Positive,
    Field(
        default=30,
        validate_default=True,
        le=LONGEST_LEASE,
        description="How long the jobs are the caller's, from now, unless it extends that.",
    ),
    WithJsonSchema(
        {"type": "number", "exclusiveMinimum": 0, "maximum": LONGEST_LEASE.total_seconds()}
    ),
]


class Claim(Request):
    """Which jobs to take, and how long to wait for one."""

    queues: list[Name] = Field(
        min_length=1, max_length=100, description="Those named first come first."
    )
    limit: Annotated[int, Field(ge=1, le=1000)] = 1
    lease_seconds: LeaseSeconds
    wait: Annotated[int, Field(ge=0, le=60)] = Field(
        default=0, description="Seconds to wait for a job while there is none."
    )
    token: Uuid | None = Field(
        default=None,
        description="Of the caller's making: a request that is repeated with it, since its answer "
        "was lost, gets the same jobs. Use it for no other claim.",
    )


class Lease(Reply):
    """A job that is the caller's for a while."""

    id: int
    token: UUID = Field(description="Shows that the job is still the caller's.")
    queue: str
    task: str
    payload: RawJson
    headers: RawJson | None
    priority: int
    attempt: int
    max_attempts: int
    timeout_seconds: Seconds
    suspect: bool = Field(
        description="It ran when a worker was lost: run it apart from others. It comes alone."
    )
    created_at: Instant
    claimed_at: Instant


class Leases(Reply):
    """Jobs that were taken; none when there were none in time."""

    items: list[Lease]


class Held(Request):
    """Shows that the job is the caller's."""

    token: Uuid = Field(description="The lease's.")


class Extension(Held):
    """How long the job is to stay the caller's, from now."""

    lease_seconds: LeaseSeconds


class Extended(Reply):
    """The job is still the caller's."""

    cancel_requested: bool = Field(
        description="Somebody wants it cancelled: stop, and `fail` or `release` it."
    )


class Completion(Held):
    """What the job returned."""

    result: RawJson | None = None


class Failure(Held):
    """Why the attempt failed, and what is to become of the job."""

    error_class: Text | None = None
    message: Text | None = None
    traceback: Text | None = None
    permanent: bool = Field(default=False, description="It is not to be tried again.")
    retry_in_seconds: Seconds | None = Field(default=None, description="In place of the backoff.")
    reason: Literal["error", "timeout"] = "error"


class Failed(Reply):
    """What became of the job."""

    state: Literal["retrying", "dead", "cancelled"]
    run_at: Instant | None = Field(description="When it is tried again.")


class Snooze(Held):
    """When to go on."""

    delay_seconds: Seconds


class Snoozed(Reply):
    """What became of the job: cancelled, when somebody had asked for that."""

    state: Literal["scheduled", "cancelled"]
    run_at: Instant | None


class NewLine(Held):
    """A line for the job's log."""

    message: Text
    level: Literal["debug", "info", "warning", "error", "critical"] = "info"
    progress: Annotated[float, Field(ge=0, le=1)] | None = Field(
        default=None, description="Share of the job that is done."
    )


class Logged(Reply):
    """The line's number."""

    n: int | None = Field(description="Null: the job's log is full.")


class HeldJob(Held):
    """A job that is the caller's."""

    id: Annotated[int, Field(ge=1, le=2**53 - 1)]
    begun: bool = Field(default=False, description="Work on it had begun: that leaves an attempt.")


class Release(Request):
    """Jobs to be given back."""

    leases: list[HeldJob] = Field(min_length=1, max_length=1000)


class Released(Reply):
    """Jobs that could not be given back, since they were no longer the caller's."""

    lost: list[int]
