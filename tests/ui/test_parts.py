"""Filters, forms, schemas, masks and figures by themselves."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pgq_server import masking
from pgq_server.ui import faces, figures, filters, forms, schemas, series, trees

NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("state:dead", {"state": "dead"}),
        ("queue:mail task:send tag:vip", {"queue": "mail", "task": "send", "tag": "vip"}),
        ('task:"two words"', {"task": "two words"}),
        (r'tag:"a \"quoted\" one"', {"tag": 'a "quoted" one'}),
        ("42", {"id": 42}),
        ("send", {"task": "send"}),
        ("worker:web-1:4120", {"worker": "web-1:4120"}),
        ("payload.user.id:42", {"path": ("user", "id"), "value": "42"}),
        ('payload.a:"x y"', {"path": ("a",), "value": "x y"}),
        ("created:>1h", {"created_before": NOW - timedelta(hours=1)}),
        ("created:<30m created:>10m", {
            "created_after": NOW - timedelta(minutes=30),
            "created_before": NOW - timedelta(minutes=10),
        }),
        ("created:>2026-11-20", {"created_after": datetime(2026, 11, 20, tzinfo=UTC)}),
    ],
)  # fmt: skip
def test_filters_are_read(text: str, expected: dict[str, Any]) -> None:
    found = filters.parse(text, NOW)
    assert found.problems == ()
    for name, value in expected.items():
        assert getattr(found, name) == value
    again = filters.parse(found.with_word("none", None), NOW)
    assert again.words == found.words


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("colour:red", "colour: is unknown"),
        ("state:asleep", "state:asleep is unknown"),
        ("id:x", "id:x is no id"),
        ("created:1h", "created:1h makes no sense"),
        ("created:>2026-13-41", "is no date"),
        ("payload:42", "needs a path"),
        ("payload..x:1", "needs a path"),
        ("queue:", "queue: needs a value"),
        ("queue:a queue:b", "twice"),
        ("created:>999999999w", "that long ago"),
    ],
)
def test_filters_that_make_no_sense_say_why(text: str, said: str) -> None:
    (problem,) = filters.parse(text, NOW).problems
    assert said in problem


@pytest.mark.parametrize("name", [
    "password", "db_password", "apiKey", "API_KEY", "X-Auth-Token", "client_secret",
    "Authorization", "Set-Cookie", "accessToken", "private-key", "SECRET", "jwt", "refreshTokens",
])  # fmt: skip
def test_names_that_look_secret_are_known(name: str) -> None:
    assert masking.is_secret(name)


@pytest.mark.parametrize("name", ["user", "author", "monkey", "key", "task", "keyboard", "pinned",
                                  "compass", "secretary", "id"])  # fmt: skip
def test_other_names_are_left_alone(name: str) -> None:
    assert not masking.is_secret(name)


def test_what_was_masked_comes_back_after_an_edit() -> None:
    text = '{"to": "a", "password": "p", "deep": [{"token": 1.50}], "other": null}'
    original = masking.read(text)
    shown = json.loads(masking.write(masking.masked(original)))
    assert shown["password"] == masking.MASK
    assert shown["deep"] == [{"token": masking.MASK}]
    shown["to"] = "b"
    edited = masking.restored(masking.read(json.dumps(shown)), original)
    assert json.loads(masking.write(edited))["password"] == "p"
    assert "1.50" in masking.write(edited)


def test_json_is_written_as_it_was_read() -> None:
    text = '{"a": [1, 2.50, 1e5000, -0, "é\\n", null, true, {}, []], "b": {"c": 1}}'
    assert masking.write(masking.read(text)) == text
    assert json.loads(masking.write(masking.read(text), indent=2)) == json.loads(text)


def test_trees_are_bounded() -> None:
    tree = trees.grow(json.dumps([{"n": n} for n in range(5000)]))
    assert (tree.size, len(tree.children), tree.left_out) == (5000, 200, 4800)
    assert len(trees.grow(json.dumps("x" * 100_000)).text) < 5000


def test_payloads_come_from_the_schema_of_a_task() -> None:
    known = schemas.fields({
        "properties": {
            "n": {"type": "integer"},
            "maybe": {"anyOf": [{"type": "number"}, {"type": "null"}], "default": None},
            "who": {"$ref": "#/$defs/Who"},
            "flag": {"type": "boolean"},
        },
        "required": ["n"],
        "$defs": {"Who": {"enum": ["a", "b"]}},
    })  # fmt: skip
    assert known is not None
    assert [each.kind for each in known] == ["integer", "number", "choice", "yes"]
    form = {"argument.n": "3", "argument.maybe": "1.50", "argument.who": "b"}
    assert schemas.payload(form, known) == '{"n": 3, "maybe": 1.50, "who": "b", "flag": false}'
    with pytest.raises(ValueError, match="n: needs a value"):
        schemas.payload({}, known)
    with pytest.raises(ValueError, match="n: "):
        schemas.payload({"argument.n": "three"}, known)
    for odd in (None, [], {"properties": 3}, {"type": "array"}):
        assert schemas.fields(odd) is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("90 s", 90),
        ("10 min", 600),
        ("2h30m", 9000),
        ("1 d 2 h", 93_600),
        ("1.5h", 5400),
    ],
)
def test_durations_are_read(text: str, seconds: float) -> None:
    found = forms.duration(text)
    assert isinstance(found, timedelta)
    assert found.total_seconds() == seconds
    assert forms.duration(figures.exact(found)) == found


@pytest.mark.parametrize("text", ["soon", "1 fortnight", "-3 s", "h", "1 2"])
def test_durations_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        forms.duration(text)


def test_figures_are_short() -> None:
    assert [figures.short(n) for n in (0, 9_999, 10_000, 123_456, 4_560_000)] == [
        "0", "9,999", "10.0k", "123.5k", "4.56M",
    ]  # fmt: skip
    assert figures.age(NOW - timedelta(seconds=90), NOW) == "1 min ago"
    assert figures.age(NOW + timedelta(hours=2), NOW) == "in 2 h"


def test_faces_quote_what_they_are_given() -> None:
    assert faces.call("pause", {"p_queue": "it's"}) == "select pgq.pause(p_queue => 'it''s');"
    assert faces.literal("a\\b") == "E'a\\\\b'"
    assert faces.cli("queue", "pause", "a; rm -rf /") == "pgq queue pause 'a; rm -rf /'"
    assert "'\\''" in faces.curl("POST", "http://x/a'b") or '"' in faces.curl(
        "POST", "http://x/a'b"
    )


def test_samples_become_jobs_a_minute() -> None:
    rows = [
        {"at": NOW - timedelta(minutes=m), "metric": metric, "label": label, "n": n}
        for m, metric, label, n in [
            (130, "finished", "succeeded", 0),
            (62, "failed", "error", 5),
            (60, "finished", "succeeded", 100),
            (60, "failed", "error", 10),
            (3, "failed", "timeout", 2),
            (2, "finished", "succeeded", 160),
            (2, "finished", "succeeded", 160),
            (1, "finished", "succeeded", 190),
        ]
    ]
    samples = series.read(rows)
    assert samples.totals["succeeded"][-1] == 190
    assert samples.totals["failed"][-1] == 12
    assert samples.grown("succeeded", NOW - timedelta(hours=1), NOW) == 90
    assert samples.grown("failed", NOW - timedelta(hours=2), NOW - timedelta(hours=1)) == 10
    assert samples.grown("failed", NOW - timedelta(hours=9), NOW) is None
    drawn = json.loads(series.chart(samples, timedelta(minutes=5), NOW))
    assert drawn["columns"][1][-1] == 30
    assert drawn["last"]["totals"] == [190, 12, 0]
