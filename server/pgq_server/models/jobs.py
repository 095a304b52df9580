"""Jobs, as they are asked for and told of."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, model_validator

from pgq_server.models.base import (
    Flag,
    Id,
    Instant,
    Limit,
    MaybeObject,
    Name,
    Positive,
    RawJson,
    Reply,
    Request,
    Seconds,
    State,
    both,
    given,
    like,
    sound,
    whole,
)
from pgq_server.paging import Cursor, Page, Total

Priority = Annotated[int, Field(ge=0, le=9, description="0 is soonest.")]
Attempts = Annotated[int, Field(ge=1, le=32767)]
Tags = Annotated[list[Name], Field(max_length=100)]
Payload = Annotated[
    RawJson,
    Field(
        description="Any JSON, kept as sent: an object holds keyword arguments, an array "
        "positional ones, anything else is one argument."
    ),
]
_PLACE = r"^[^:\x00]+:[^\x00]*$"


class NewJob(Request):
    """A job to be made. What is left out is the queue's, or the default."""

    model_config = ConfigDict(json_schema_extra={"not": both("run_at", "delay_seconds")})

    task: Name
    payload: Payload = Field(default_factory=lambda: RawJson("{}"))
    queue: Name = "default"
    priority: Priority = 5
    run_at: Instant | None = Field(default=None, description="Not before.")
    delay_seconds: Seconds | None = Field(
        default=None, description="Not before this long from now; excludes `run_at`."
    )
    max_attempts: Attempts | None = None
    timeout_seconds: Positive | None = Field(default=None, description="Of an attempt.")
    backoff_base_seconds: Seconds | None = Field(
        default=None, description="Before the second attempt, doubled for each further one."
    )
    backoff_max_seconds: Seconds | None = None
    unique_key: Name | None = Field(
        default=None, description="At most one unfinished job of the queue has it."
    )
    tags: Tags = Field(default_factory=list)
    headers: MaybeObject = None

    @model_validator(mode="after")
    def _one_time(self) -> Self:
        _check_times(self.run_at, self.delay_seconds)
        return self


def _check_times(run_at: datetime | None, delay: timedelta | None) -> None:
    if run_at is not None and delay is not None:
        raise ValueError("run_at and delay_seconds exclude each other; give one of them")


class NewJobs(Request):
    """Jobs to be made, all or none."""

    jobs: list[NewJob] = Field(min_length=1, max_length=1000)


class MadeJob(Reply):
    """A job that was asked for."""

    id: int
    created: bool = Field(description="False: its unique key is taken, and this job has it.")


class MadeJobs(Reply):
    """What became of each, in their order."""

    items: list[MadeJob]


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
    """A job, without its payload and result."""

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
    reason: str | None = Field(description="Why it is dead, or its last bad attempt ended.")
    error_class: str | None
    message: str | None
    cancel_requested: bool


class JobContent(Reply):
    """What a job was given, and what it returned.

    With no more than the scope `view`, values whose names look secret are masked.
    """

    payload: RawJson
    headers: RawJson | None
    result: RawJson | None


class JobFilter(Request):
    """Which jobs. All that is given must hold."""

    queue: Name | None = None
    state: State | None = None
    task: Name | None = None
    tag: Name | None = None
    worker: Id | None = None
    created_after: Instant | None = None
    created_before: Instant | None = None

    @property
    def place(self) -> tuple[list[str] | None, str | None]:
        """Names down into the payload, outermost first, and what is to stand there."""
        return None, None


class JobQuery(JobFilter):
    """Which jobs, and which part of the list."""

    payload: (
        Annotated[
            str,
            Field(max_length=2000, pattern=_PLACE),
            BeforeValidator(like(_PLACE, "PATH:VALUE, as user.id:42")),
            AfterValidator(sound),
        ]
        | None
    ) = Field(
        default=None,
        description="What stands in the payload: `user.id:42` for the member `id` of `user`.",
    )
    order: Literal["newest", "oldest"] = "newest"
    cursor: Cursor | None = None
    limit: Limit = 50
    total: Flag = Field(default=False, description="Count them too, up to 10,000.")

    @property
    def place(self) -> tuple[list[str] | None, str | None]:
        """Where the payload is looked at, and what is to stand there."""
        if self.payload is None:
            return None, None
        path, _, value = self.payload.partition(":")
        return path.split("."), value


class JobPage(Page[JobSummary]):
    """Jobs, and where the list goes on."""

    total: Total | None = None
    looked_to: int | None = Field(
        default=None,
        description="Set when the search ended before the list: it looked as far as this job.",
    )


class Wait(Request):
    """How long to wait."""

    wait: Annotated[int, Field(ge=0, le=60), BeforeValidator(whole)] = Field(
        default=0, description="Seconds to wait for the job to end."
    )


class JobEdit(Request):
    """Changes of a job that has not started, or is dead."""

    model_config = ConfigDict(
        json_schema_extra={"anyOf": [{"required": ["payload"]}, given("priority"), given("run_at")]}
    )

    payload: Payload | None = None
    priority: Priority | None = None
    run_at: Instant | None = None

    @model_validator(mode="after")
    def _some(self) -> Self:
        if self.payload is None and self.priority is None and self.run_at is None:
            raise ValueError("nothing to change; give payload, priority or run_at")
        return self


class JobRetry(Request):
    """How to try again."""

    payload: Payload | None = Field(default=None, description="In place of its payload.")


class JobCopy(Request):
    """What is different about the copy."""

    model_config = ConfigDict(json_schema_extra={"not": both("run_at", "delay_seconds")})

    payload: Payload | None = None
    queue: Name | None = None
    priority: Priority | None = None
    run_at: Instant | None = Field(default=None, description="Not before; now unless given.")
    delay_seconds: Seconds | None = Field(
        default=None, description="Not before this long from now; excludes `run_at`."
    )

    @model_validator(mode="after")
    def _one_time(self) -> Self:
        _check_times(self.run_at, self.delay_seconds)
        return self


class Attempt(Reply):
    """An attempt that did not end well."""

    attempt: int
    worker: int
    worker_name: str | None
    executor: int
    claimed_at: Instant
    started_at: Instant | None
    ended_at: Instant
    reason: str
    charged: bool
    error_class: str | None
    message: str | None
    traceback: str | None


class AttemptPage(Reply):
    """The last bad attempts, oldest first."""

    items: list[Attempt]


class LogQuery(Request):
    """Which lines."""

    after: Annotated[int, Field(ge=0, le=2**31 - 1), BeforeValidator(whole)] = Field(
        default=0, description="Those with higher numbers."
    )
    limit: Limit = 1000


class LogLine(Reply):
    """A line of a job's log; `n` counts from 1 within the job."""

    n: int
    attempt: int
    at: Instant
    level: str
    message: str
    progress: float | None


class LogPage(Reply):
    """Lines in their order."""

    items: list[LogLine]


class JobEvent(Reply):
    """Something that happened to a job."""

    at: Instant
    event: str
    attempt: int | None
    worker: int | None
    worker_name: str | None
    detail: str | None


class JobEvents(Reply):
    """The job's timeline."""

    items: list[JobEvent]


class Reason(Reply):
    """Why a job is not running."""

    reason: str
    detail: str | None


class Reasons(Reply):
    """All reasons why it is not running now."""

    items: list[Reason]


class ListLimit(Request):
    """How many."""

    limit: Limit = 1000
