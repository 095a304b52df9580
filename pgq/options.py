"""How a job is to be run, apart from its arguments: the task's policy, a call's changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, TypedDict

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from pgq.answers import as_timedelta
from pgq.errors import TaskError

Duration = float | timedelta
"""Seconds, or a timedelta."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Delay before the next attempt: at random in 0 … min(max, base · 2^(attempt - 1)).

    What is None is the queue's.
    """

    base: Duration | None = None
    max: Duration | None = None

    def __post_init__(self) -> None:
        for name in ("base", "max"):
            value = getattr(self, name)
            if value is not None and as_timedelta(value) < timedelta():
                raise TaskError(f"Backoff: {name} is {value!r}; expected 0 or more seconds")


class Fields(TypedDict, total=False):
    """The options by name. Left out means: as the task says, else as the queue says."""

    queue: str
    priority: int
    """0 to 9, lower is sooner; 5 unless given."""
    run_at: datetime
    """Not before; with a time zone."""
    delay: Duration
    """Not before this long from now, by the database's clock."""
    max_attempts: int
    timeout: Duration
    retry: Backoff
    unique_key: str | Callable[..., str]
    """At most one unfinished job of the queue has it; a function makes it of the arguments."""
    tags: Sequence[str]
    headers: Mapping[str, Any]


_Name = Annotated[str, Field(min_length=1, max_length=200)]


class Options(BaseModel):
    """The options that were given, checked. Everything else stays the database's to say."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    queue: _Name | None = None
    priority: Annotated[int, Field(ge=0, le=9)] | None = None
    run_at: AwareDatetime | None = None
    delay: Annotated[timedelta, Field(ge=timedelta())] | None = None
    max_attempts: Annotated[int, Field(ge=1)] | None = None
    timeout: Annotated[timedelta, Field(gt=timedelta())] | None = None
    retry: Backoff | None = None
    unique_key: _Name | Callable[..., str] | None = None
    tags: list[_Name] | None = None
    headers: dict[str, Any] | None = None

    def change(self, task: str, changes: Mapping[str, Any]) -> Options:
        """These options with `changes`; `run_at` and `delay` replace each other.

        Raises `TaskError` that names the task, the option and what was expected.
        """
        given = self._given()
        if "run_at" in changes or "delay" in changes:
            given.pop("run_at", None)
            given.pop("delay", None)
        if changes.get("run_at") is not None and changes.get("delay") is not None:
            raise TaskError(f"task {task!r}: run_at and delay exclude each other; give one of them")
        try:
            return Options(**{**given, **changes})
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            if first["type"] == "extra_forbidden":
                raise TaskError(
                    f"task {task!r} has no option {first['loc'][0]!r}; "
                    f"there are {', '.join(Options.model_fields)}"
                ) from None
            raise TaskError(
                f"task {task!r}: option {first['loc'][0]} is {first['input']!r}: {first['msg']}"
            ) from None

    def columns(self) -> dict[str, Any]:
        """The columns of `pgq.job` that are set, but for the unique key.

        `delay` stands beside them: it is no column, but what `run_at` is counted with.
        """
        values = self._given()
        values.pop("unique_key", None)
        if retry := values.pop("retry", None):
            for name, value in (("backoff_base", retry.base), ("backoff_max", retry.max)):
                if value is not None:
                    values[name] = as_timedelta(value)
        return values

    def _given(self) -> dict[str, Any]:
        return {
            name: value
            for name in self.model_fields_set
            if (value := getattr(self, name)) is not None
        }
