"""Arguments are checked against the function's signature, when enqueued and when run."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from pydantic import BaseModel

from pgq import App, Context, TaskError
from pgq.sending import Sent

if TYPE_CHECKING:
    from pgq import Context as Hidden
    from pgq import Job as OnlyForTypes

app = App()


class Colour(Enum):
    RED = "red"


class User(BaseModel):
    id: int
    seen: datetime


@dataclass
class Point:
    x: int
    y: int = 0


def parcel(task: Any, *args: Any, **kwargs: Any) -> str:
    """The payload that a call would be enqueued with."""
    values = task._one(args, kwargs, Sent(None)).values
    return str(values[1])


@app.task()
def greet(name: str, times: int = 1) -> None: ...


@app.task()
def nothing() -> None: ...


@app.task()
def loose(value, other=None):  # type: ignore[no-untyped-def]
    ...


@app.task()
def total(first: int, /, *others: int) -> None: ...


@app.task()
def settings(name: str, **values: int) -> None: ...


@app.task("*")
def anything(ctx: Context, payload: Any) -> None: ...


@pytest.mark.parametrize(
    ("hint", "value"),
    [
        (datetime, datetime(2030, 1, 2, 3, 4, 5, 678900, UTC)),
        (timedelta, timedelta(days=2, microseconds=3)),
        (UUID, UUID(int=7)),
        (Decimal, Decimal("1.10")),
        (Colour, Colour.RED),
        (User, User(id=1, seen=datetime(2030, 1, 1, tzinfo=UTC))),
        (Point, Point(1, 2)),
        (list[Point], [Point(1), Point(2)]),
        (dict[UUID, set[int]], {UUID(int=1): {1, 2}}),
        (tuple[int, str], (1, "one")),
        (User | None, None),
        (bytes, b"caf\xc3\xa9"),
        (float, math.inf),
        (str, 'quote " backslash \\ null \x01 snow ☃'),
    ],
)
def test_a_value_comes_back_as_what_its_annotation_says(hint: Any, value: Any) -> None:
    def function(value: Any) -> None: ...

    function.__annotations__["value"] = hint
    task = App().task("function")(function)
    args, kwargs = task.bind_json(parcel(task, value))
    assert ([*args, *kwargs.values()]) == [value]
    assert type([*args, *kwargs.values()][0]) is type(value)


def test_nan_survives_the_journey() -> None:
    def function(value: float) -> None: ...

    task = App().task()(function)
    assert math.isnan(task.bind_json(parcel(task, math.nan))[1]["value"])


@pytest.mark.parametrize(
    ("payload", "args", "kwargs"),
    [
        ('{"name": "ann"}', (), {"name": "ann", "times": 1}),
        ('["ann", 2]', ("ann", 2), {}),
        ('"ann"', ("ann",), {"times": 1}),
        (' \n"ann"', ("ann",), {"times": 1}),
        (' {"name": "ann", "times": 3}', (), {"name": "ann", "times": 3}),
    ],
)
def test_an_object_is_keywords_an_array_positions_anything_else_one_argument(
    payload: str, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    assert greet.bind_json(payload) == (args, kwargs)


def test_a_decoded_payload_is_bound_as_its_text_is() -> None:
    assert greet.bind_payload({"name": "ann"}) == greet.bind_json('{"name": "ann"}')


@pytest.mark.parametrize("payload", ["{}", "[]", b"{}", None])
def test_no_arguments_fit_a_function_that_takes_none(payload: Any) -> None:
    assert nothing.bind_json(payload) == ((), {})


@pytest.mark.parametrize("payload", ['{"a": 1}', "[1, 2]", "null", '"x"'])
def test_the_catch_all_is_given_the_whole_payload(payload: str) -> None:
    import json

    assert anything.bind_json(payload) == ((json.loads(payload),), {})


def test_arguments_are_written_by_name_without_defaults() -> None:
    assert parcel(greet, "ann") == '{"name":"ann"}'
    assert parcel(greet, "ann", times=2) == '{"name":"ann","times":2}'


def test_positional_only_arguments_are_written_as_an_array() -> None:
    assert parcel(total, 1, 2, 3) == "[1,2,3]"
    assert total.bind_json("[1,2,3]") == ((1, 2, 3), {})


def test_further_keywords_are_written_by_name() -> None:
    payload = parcel(settings, "x", speed=3)
    assert payload == '{"name":"x","speed":3}'
    assert settings.bind_json(payload) == ((), {"name": "x", "speed": 3})


def test_parameters_without_annotations_take_any_json() -> None:
    assert loose.bind_json(parcel(loose, [1], other={"a": None})) == (
        (),
        {"value": [1], "other": {"a": None}},
    )


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        (lambda: parcel(greet, 5), r"task 'greet': argument 'name': .*valid string; got 5$"),
        (lambda: parcel(greet), r"argument 'name': Missing required argument$"),
        (lambda: parcel(greet, "ann", "many"), r"argument 'times': .*valid integer"),
        (lambda: parcel(greet, "ann", tmes=1), r"argument 'tmes': Unexpected keyword"),
        (lambda: parcel(greet, "a", 2, 3), r"takes 2 positional arguments; got another one, 3$"),
        (lambda: parcel(greet, "ann", name="bob"), r"argument 'name': Got multiple values"),
        (lambda: parcel(loose, object()), r"argument 'value' cannot be written as JSON"),
        (lambda: parcel(total, first=1), r"task 'total'"),
        (lambda: parcel(anything, 1), r"app\.enqueue\(name, payload\)"),
        (lambda: greet.bind_json('{"name": 5}'), r"argument 'name': .*valid string; got 5$"),
        (lambda: greet.bind_json("{}"), r"argument 'name': Missing required argument$"),
        (lambda: nothing.bind_json("[1]"), r"takes 0 positional arguments; got another one, 1"),
        (
            lambda: nothing.bind_json('{"a": 1}'),
            r"argument 'a': Unexpected keyword argument; got 1",
        ),
        (lambda: loose.bind_json("[" * 2000 + "]" * 2000), r"payload: Invalid JSON: recursion"),
        (lambda: loose.bind_json("9" * 5000), r"payload: Invalid JSON: number out of range"),
        (lambda: greet.bind_json("nonsense"), r"payload: Invalid JSON"),
    ],
)
def test_arguments_that_do_not_fit_are_named(call: Callable[[], Any], complaint: str) -> None:
    with pytest.raises(TaskError, match=complaint):
        call()


def test_a_complaint_names_the_place_inside_a_model() -> None:
    @app.task("with a model")
    def function(user: User) -> None: ...

    with pytest.raises(TaskError, match=r"argument 'user'\['id'\]: .*valid integer"):
        function.bind_json('{"user": {"id": "x", "seen": "2030-01-01T00:00:00Z"}}')


def test_a_context_is_no_part_of_the_payload() -> None:
    @app.task("with a context")
    def function(context: Context, name: str) -> None: ...

    assert function.takes_context
    assert parcel(function, "ann") == '{"name":"ann"}'
    assert function.bind_json('["ann"]') == (("ann",), {})


def test_a_first_parameter_named_ctx_is_a_context() -> None:
    task = App().task("function")(lambda ctx, name: None)
    assert task.takes_context
    assert parcel(task, "ann") == '{"name":"ann"}'


def test_a_context_may_be_imported_for_type_checkers_only() -> None:
    def function(ctx: Hidden) -> None: ...

    task = App().task()(function)
    assert task.takes_context
    assert parcel(task) == "{}"


def test_an_ordinary_first_parameter_is_no_context() -> None:
    assert not greet.takes_context


def test_types_of_the_enclosing_function_are_resolved() -> None:
    class Local(BaseModel):
        id: int

    @app.task("with a local type")
    def function(local: Local) -> None: ...

    assert function.bind_json('[{"id": 1}]') == ((Local(id=1),), {})


def test_an_annotation_that_cannot_be_resolved_is_named() -> None:
    def function(job: OnlyForTypes) -> None: ...

    task = App().task()(function)
    with pytest.raises(TaskError, match="annotation 'OnlyForTypes' of 'job' cannot be resolved"):
        task.bind_json("[1]")
