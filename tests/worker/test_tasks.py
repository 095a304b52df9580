"""What a worker tells about the tasks of its app."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime

import pytest

from pgq import App, Context
from pgq_worker import loading
from pgq_worker.loading import describe
from support import Jobs, Worker, until


def test_worker_publishes_the_tasks_it_knows(worker: Worker, jobs: Jobs) -> None:
    found = until(lambda: dict(jobs.all("select task, schema from pgq.list_tasks()")))

    assert found["wait"]["properties"]["seconds"] == {
        "default": 60,
        "title": "Seconds",
        "type": "number",
    }
    assert "ctx" not in found["wait"]["properties"]
    assert jobs.one("select queues from pgq.list_tasks() where task = 'wait'") == ["default"]
    assert jobs.one("select workers from pgq.list_tasks() where task = 'wait'") == 1


def test_worker_that_registers_anew_publishes_them_again(worker: Worker, jobs: Jobs) -> None:
    first = until(lambda: jobs.one("select max(id) from pgq.list_workers()"))
    jobs.one("select pgq.heartbeat(%s, '{}', '{}', 0, 'offline')", first)

    until(lambda: jobs.one("select max(id) from pgq.list_workers()") > first)

    assert until(lambda: jobs.one("select count(*) from pgq.list_tasks() where task = 'wait'")) == 1


def test_schema_is_that_of_the_payload() -> None:
    app = App()

    @app.task
    def remind(ctx: Context, to: str, *, at: datetime, times: int = 1) -> None: ...

    schema = describe(app)["remind"]

    assert schema is not None
    assert schema["required"] == ["to", "at"]
    assert schema["properties"]["at"] == {"format": "date-time", "title": "At", "type": "string"}


def test_catch_all_takes_any_payload() -> None:
    app = App()

    @app.task("*")
    def anything(payload: object) -> None: ...

    assert describe(app) == {"*": {}}


class Opaque:
    """A type of which pydantic knows nothing."""


def opaque(value: Opaque) -> None: ...


def without_a_number(value: float = math.nan) -> None: ...


def without_a_character(value: str = "\0") -> None: ...


def without_half_of_one(value: str = "\ud800") -> None: ...


@pytest.mark.parametrize(
    "function", [opaque, without_a_number, without_a_character, without_half_of_one]
)
def test_task_without_a_schema_is_known_by_its_name(function: Callable[..., None]) -> None:
    app = App()
    app.task("good")(lambda: None)
    app.task("bad")(function)

    tasks = describe(app)

    assert tasks["bad"] is None
    assert tasks["good"] is not None


def test_schemas_that_are_too_long_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    app = App()
    app.task("one")(lambda: None)
    app.task("two")(lambda: None)
    monkeypatch.setattr(loading, "SCHEMAS", 50)

    assert describe(app) == {"one": None, "two": None}
