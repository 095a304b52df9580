"""What a request is told that makes no sense: where, what came, what was expected."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError
from serving import Hall, problem

from pgq_server import faults, routes
from pgq_server.documents import RawJson
from pgq_server.models.jobs import NewJob
from pgq_server.models.seeds import AnyNewJob, NamedJob
from pgq_server.problems import Invalid

JOBS = "/api/v1/jobs"


@pytest.mark.parametrize(
    ("body", "location", "message"),
    [
        ({"task": "a", "priority": 12}, "body.priority", "expected 9 or less; got 12"),
        ({"task": "a", "priority": "5"}, "body.priority", 'expected a whole number; got "5"'),
        ({"task": "a", "priority": None}, "body.priority", "expected a whole number; got null"),
        ({"task": "a", "tags": "x"}, "body.tags", 'expected a list; got "x"'),
        ({"task": "a", "tags": ["x", 1]}, "body.tags.1", "expected text; got 1"),
        ({"task": ""}, "body.task", 'expected at least 1 character; got ""'),
        ({"task": "a" * 300}, "body.task", f'expected at most 200 characters; got "{"a" * 59}…'),
        ({"task": "a", "timeout_seconds": 0}, "body.timeout_seconds",
         "expected more than 0 seconds; got 0"),
        ({"task": "a", "run_at": "now"}, "body.run_at",
         'expected a time as in RFC 3339, as 2030-01-31T09:30:00Z; got "now"'),
        ({"task": "a", "headers": "s3cret"}, "body.headers", "expected an object; got a text"),
        ({"queue": "a"}, "body.task", "missing"),
        ([1], "body", "expected an object; got a list"),
        ({"name": "a", "priority": -1}, "body.priority", "expected 0 or more; got -1"),
        ({"name": "a", "b": 1}, "body.b",
         "unknown; expected some of name, command, payload, priority, timeout"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_told(hall: Hall, body: Any, location: str, message: str) -> None:
    found = problem(hall.api.post(JOBS, json=body), 422, "invalid-request")
    assert found["errors"] == [{"location": location, "message": message}]
    assert found["detail"] == f"{location}: {message}"
    assert "send it again" in found["hint"]


@pytest.mark.parametrize("digits", [20, 3000])
def test_a_number_that_is_too_large_is_told_so(hall: Hall, digits: int) -> None:
    answer = hall.api.get(JOBS, params={"limit": "9" * digits})
    found = problem(answer, 422, "invalid-request")
    assert found["detail"].startswith("query.limit: expected 1000 or less; got 999")


def test_another_name_than_loopbacks_is_told_why_it_needs_a_token(hall: Hall) -> None:
    answer = hall.api.get(JOBS, headers={"Host": "queue.example"})
    assert "localhost or 127.0.0.1" in problem(answer, 401, "unauthenticated")["detail"]


def test_unknown_members_inside_lists_are_located(hall: Hall) -> None:
    answer = hall.api.post(f"{JOBS}/batch", json={"jobs": [{"task": "a"}, {"task": "a", "b": 1}]})
    (error,) = problem(answer, 422, "invalid-request")["errors"]
    assert error["location"] == "body.jobs.1.b"
    assert error["message"].startswith("unknown; expected some of task, payload, ")


def test_each_value_that_makes_no_sense_is_told(hall: Hall) -> None:
    body = {"task": 1, "priority": 12, "colour": "red"}
    found = problem(hall.api.post(JOBS, json=body), 422, "invalid-request")
    assert {error["location"] for error in found["errors"]} == {
        "body.task", "body.priority", "body.colour",
    }  # fmt: skip


ODD: list[Any] = [
    None, True, 0, -1, 10**400, 1.5, 1e308, "", "x", "x" * 200_000, "\0", "\ud800", [], [None],
    ["x"] * 2000, {}, {"x": 1}, RawJson("1"), RawJson("[1]"), RawJson('{"a": 1}'),
]  # fmt: skip
TEXTS = [odd for odd in ODD if isinstance(odd, str)]
"""All that a path, a query or a form may have."""
MODELS = {
    model: odd
    for route in routes.TABLE
    for model, odd in (
        (route.path_model, TEXTS),
        (route.query, TEXTS),
        (route.body, TEXTS if route.form else ODD),
        (NewJob, ODD),
        (NamedJob, ODD),
    )
    if model is not None and model is not AnyNewJob
}


@pytest.mark.parametrize("model", sorted(MODELS, key=repr), ids=lambda model: model.__name__)
def test_nothing_is_told_in_the_words_of_a_library(model: type[BaseModel]) -> None:
    odd = MODELS[model]
    for values in [*odd, *({name: each} for name in model.model_fields for each in odd)]:
        for each in refused(model, values):
            assert faults.OTHER not in each.message, each
            assert len(each.message) < 1000
            for word in ("function-", "Input", "instance", "validat", "pydantic", "literal"):
                assert word not in each.message + each.location


def refused(model: type[BaseModel], values: object) -> list[Invalid]:
    try:
        model.model_validate(values)
    except ValidationError as error:
        return faults.found(model, error, "body")
    return []
