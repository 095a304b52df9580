"""The shapes of the systems that this one takes the place of. Ids are strings in them."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, RootModel, model_validator
from pydantic.config import JsonDict

from pgq_server.models.base import (
    Instant,
    Name,
    Positive,
    RawJson,
    Reply,
    Request,
    State,
    Text,
    both,
    like,
    whole,
)
from pgq_server.models.jobs import MadeJob, NewJob, Payload, Priority
from pgq_server.models.leases import Uuid

COMMAND = "pgq.command"
"""The task that runs a command, at a worker that allows commands."""

Status = Literal["PENDING", "RUNNING", "SUCCESS", "FAILED", "RETRYING", "DEAD"]
STATUSES: dict[State, Status] = {
    "scheduled": "PENDING",
    "ready": "PENDING",
    "running": "RUNNING",
    "retrying": "RETRYING",
    "succeeded": "SUCCESS",
    "cancelled": "FAILED",
    "dead": "DEAD",
}
Retries = Annotated[int, Field(ge=0, le=32766)]
_ID = "^[1-9][0-9]{0,15}$"
OldId = Annotated[
    str, Field(pattern=_ID), BeforeValidator(like(_ID, "the number of a job as text"))
]


class TypedJob(Request):
    """A job with a `type`."""

    type: Name
    payload: Payload = Field(default_factory=lambda: RawJson("{}"))
    priority: Priority = 5
    max_retries: Retries | None = None
    timeout_seconds: Positive | None = None

    def job(self) -> NewJob:
        """What it is here."""
        return _job(
            task=self.type,
            payload=self.payload,
            priority=self.priority,
            max_attempts=None if self.max_retries is None else self.max_retries + 1,
            timeout_seconds=self.timeout_seconds,
        )


class NamedJob(Request):
    """A job with a `name`: what to do with the payload, or what to call the command."""

    model_config = ConfigDict(json_schema_extra={"not": both("command", "payload")})

    name: Name
    command: Annotated[Text, Field(min_length=1, max_length=100_000)] | None = None
    payload: Payload | None = None
    priority: Priority = 5
    timeout: Positive | None = Field(default=None, description="Seconds.")

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if self.command is not None and self.payload not in (None, RawJson("null")):
            raise ValueError("command and payload exclude each other; give one of them")
        return self

    def job(self) -> NewJob:
        """What it is here."""
        more = {"priority": self.priority, "timeout_seconds": self.timeout}
        if self.command is None:
            return _job(task=self.name, payload=self.payload, **more)
        payload = _Command(command=self.command).model_dump_json()
        return _job(task=COMMAND, payload=RawJson(payload), tags=[self.name], **more)


def _alternatives(schema: JsonDict) -> None:
    schema["oneOf"] = schema.pop("anyOf")


class AnyNewJob(RootModel[NewJob | NamedJob]):
    """A job to be made; one with a `name` and without a `task` is of the older shape."""

    model_config = ConfigDict(frozen=True, json_schema_extra=_alternatives)

    @classmethod
    def model_validate(cls, obj: Any, **options: Any) -> Self:
        """As the model that it looks like, whose refusals are easier to read than a union's."""
        return cls.model_construct(root=cls.model_of(obj).model_validate(obj, **options))

    @staticmethod
    def model_of(obj: object) -> type[NewJob] | type[NamedJob]:
        """The model that a body looks like."""
        is_old = isinstance(obj, dict) and "name" in obj and "task" not in obj
        return NamedJob if is_old else NewJob


class OldJob(Reply):
    """A job in the older shape."""

    id: str
    type: str
    status: Status
    retry_count: int
    max_retries: int
    timeout_seconds: int | float
    created_at: Instant
    updated_at: Instant


class OldJobs(RootModel[list[OldJob]]):
    """Jobs, the newest first."""


class OldLease(OldJob):
    """A job that is the caller's."""

    payload: RawJson
    token: str = Field(description="For the report; those who keep none are known by `worker_id`.")


class NamedJobMade(Reply):
    """A job that was made from the older shape."""

    id: str
    name: str
    status: Status


class AnyMadeJob(RootModel[MadeJob | NamedJobMade]):
    """The job; of the older shape, when it was asked for so."""

    model_config = ConfigDict(json_schema_extra=_alternatives)


class OldPage(Request):
    """Which part of the list."""

    limit: Annotated[int, Field(ge=1, le=1000), BeforeValidator(whole)] = 50
    offset: Annotated[int, Field(ge=0, le=10_000), BeforeValidator(whole)] = 0


class OldRegistration(Request):
    """A worker. What else it says of itself is shown with it."""

    model_config = ConfigDict(extra="allow")

    name: Name | None = None
    worker_id: Name | None = Field(default=None, description="Of its own making: its name.")
    queues: Annotated[list[Name], Field(min_length=1, max_length=100)] = Field(default=["default"])
    capacity: Annotated[int, Field(ge=1, le=10_000)] = 1


class OldWorkerRef(Request):
    """Names a worker, by its id or the name by which it registered."""

    worker_id: Name


class OldNext(Request):
    """Who asks for a job."""

    worker_id: Name | None = None


class OldReport(Request):
    """What became of a job."""

    job_id: OldId
    status: Literal["SUCCESS", "FAILED"]
    worker_id: Name | None = None
    token: Uuid | None = None
    result: RawJson | None = None
    error: Text | None = None


class OldWorker(Reply):
    """A worker in the older shape."""

    id: str
    name: str
    status: Literal["ONLINE", "OFFLINE"]
    last_heartbeat: Instant


class OldWorkers(RootModel[list[OldWorker]]):
    """Workers that are up, or were lately."""


class _Command(Reply):
    command: str


def seconds(value: timedelta) -> int | float:
    """Whole where they are."""
    found = value.total_seconds()
    return int(found) if found.is_integer() else found


def _job(**fields: Any) -> NewJob:
    return NewJob(**{name: value for name, value in fields.items() if value is not None})
