"""Operations: one verb on many jobs, slice by slice, by whoever does upkeep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator
from pydantic.config import JsonDict

from pgq_server.models.base import (
    Id,
    Instant,
    Limit,
    MaybeObject,
    Name,
    RawJson,
    Reply,
    Request,
    State,
    Text,
    both,
    given,
)
from pgq_server.models.dead import DeadFilter
from pgq_server.models.jobs import JobFilter
from pgq_server.paging import Total

Rate = Annotated[float, Field(gt=0, le=1e6, description="Jobs a second; null: as fast as it goes.")]
AtMost = Annotated[int, Field(ge=1, le=2**53 - 1, description="At most so many, as a test.")]
Merged = Annotated[
    MaybeObject,
    Field(description="Members to set in each job's payload, which must be an object."),
]
Ids = Annotated[
    list[Annotated[int, Field(ge=1, le=2**53 - 1)]], Field(min_length=1, max_length=1000)
]


STATES: Mapping[str, tuple[State, ...]] = {
    "cancel": ("scheduled", "ready", "running", "retrying"),
    "retry": ("dead", "cancelled"),
    "run_now": ("scheduled", "retrying"),
    "purge": ("dead",),
}
"""Jobs of which states a verb is for."""


def _of_verb(verb: str, states: Sequence[str]) -> JsonDict:
    """The JSON Schema of what an operation with this verb may be for."""
    conditions: JsonDict = {"state": {"enum": [*states, None]}}
    if "dead" not in states:
        conditions["fingerprint"] = {"type": "null"}
    members: JsonDict = {
        "verb": {"const": verb},
        "filter": {"anyOf": [{"type": "null"}, {"properties": conditions}]},
    }
    if verb != "retry":
        members["payload"] = {"type": "null"}
    return {"properties": members}


class OperationPath(Request):
    """Names an operation."""

    id: Id


class OperationFilter(JobFilter):
    """Which jobs. All that is given must hold, and something must be given."""

    model_config = ConfigDict(
        json_schema_extra={
            "allOf": [
                {
                    "anyOf": [
                        given(name) for name in (*JobFilter.model_fields, "fingerprint", "path")
                    ]
                },
                {
                    "anyOf": [
                        both("path", "value"),
                        {"not": {"anyOf": [given("path"), given("value")]}},
                    ]
                },
            ]
        }
    )

    fingerprint: Name | None = Field(default=None, description="Dead with this kind of error.")
    path: Annotated[list[Text], Field(min_length=1, max_length=20)] | None = Field(
        default=None,
        description="Names down into the payload, outermost first, to what `value` compares with.",
    )
    value: Annotated[Text, Field(max_length=1000)] | None = None

    @property
    def place(self) -> tuple[list[str] | None, str | None]:
        """Where the payload is looked at, and what is to stand there."""
        return self.path, self.value

    @model_validator(mode="after")
    def _path_with_value(self) -> Self:
        if (self.path is None) != (self.value is None):
            raise ValueError("path and value belong together; give both or neither")
        if not self.model_dump(exclude_none=True):
            raise ValueError(
                "which? give a condition; for all jobs `created_after` long ago is one"
            )
        return self


class NewOperation(Request):
    """A verb, and the jobs that it is for: either `ids` or `filter`."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [given("ids"), given("filter")],
            "anyOf": [_of_verb(verb, states) for verb, states in STATES.items()],
        }
    )

    verb: Literal["cancel", "retry", "run_now", "purge"]
    ids: Ids | None = None
    filter: OperationFilter | None = None
    payload: Merged = Field(default=None, description="Only with `retry`.")
    rate: Rate | None = None
    limit: AtMost | None = None
    preview: bool = Field(default=False, description="Only tell how many jobs it would be.")

    @model_validator(mode="after")
    def _either(self) -> Self:
        if (self.ids is None) == (self.filter is None):
            raise ValueError("give either ids or filter")
        if self.payload is not None and self.verb != "retry":
            raise ValueError("payload is only for retry")
        states = STATES[self.verb]
        if self.filter is not None and self.filter.state not in (None, *states):
            raise ValueError(f"{self.verb} is for jobs that are {' or '.join(states)}")
        if self.filter is not None and self.filter.fingerprint and "dead" not in states:
            raise ValueError(f"{self.verb} is not for dead jobs, which a fingerprint tells of")
        return self


class DeadRetry(DeadFilter):
    """Which dead letters to retry, and how."""

    ids: Ids | None = None
    payload: Merged = None
    rate: Rate | None = None
    limit: AtMost | None = None


class DeadPurge(DeadFilter):
    """Which dead letters to delete for good. Something must be given."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [given("ids"), given("queue"), given("task"), given("fingerprint")]
        }
    )

    ids: Ids | None = None
    rate: Rate | None = None
    limit: AtMost | None = None

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not any((self.ids, self.queue, self.task, self.fingerprint)):
            raise ValueError("which? give ids, queue, task or fingerprint")
        return self


class Operation(Reply):
    """How far an operation has come."""

    id: int
    verb: str
    filter: RawJson
    has_payload: bool
    rate: float | None
    most: int | None = Field(description="Its limit.")
    expected: int | None = Field(description="How many jobs there were when it began, about.")
    state: Literal["running", "done", "stopped", "failed"]
    found: int
    done: int
    skipped: int
    started_at: Instant
    finished_at: Instant | None
    by: str | None
    message: str | None


class Preview(Reply):
    """How many jobs an operation would be for."""

    preview: Total


class OperationQuery(Request):
    """How many."""

    limit: Limit = 50


class Operations(Reply):
    """Operations, the newest first."""

    items: list[Operation]
