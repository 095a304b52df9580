"""Making jobs."""

from __future__ import annotations

from typing import Any

import pytest
from serving import Hall, problem

JOBS = "/api/v1/jobs"


def made(hall: Hall, **job: Any) -> int:
    answer = hall.api.post(JOBS, json={"task": "mail", **job})
    assert answer.status_code == 201, answer.text
    return int(answer.json()["id"])


def column(hall: Hall, job: int, expression: str) -> Any:
    row = hall.conn.execute(f"select {expression} from pgq.job where id = %s", [job]).fetchone()
    assert row
    return row[0]


def test_a_job_is_made_and_its_place_told(hall: Hall) -> None:
    answer = hall.api.post(JOBS, json={"task": "mail", "payload": {"to": "ada"}})
    job = answer.json()["id"]
    assert (answer.status_code, answer.json()["created"]) == (201, True)
    assert answer.headers["location"] == f"{JOBS}/{job}"
    found = hall.api.get(answer.headers["location"]).json()
    assert (found["task"], found["queue"], found["state"]) == ("mail", "default", "ready")


def test_all_that_is_said_of_a_job_is_kept(hall: Hall) -> None:
    job = made(
        hall,
        queue="post",
        priority=2,
        run_at="2040-01-31T09:30:00+01:00",
        max_attempts=7,
        timeout_seconds=1.5,
        backoff_base_seconds=2,
        backoff_max_seconds=90,
        unique_key="all",
        tags=["a", "b, c", '"}'],
        headers={"traceparent": "00-1", "n": 1},
    )
    found = hall.conn.execute(
        "select queue, priority, run_at at time zone 'utc' = '2040-01-31 08:30', max_attempts, "
        "extract(epoch from timeout)::float, backoff_base::text, backoff_max::text, unique_key, "
        "tags, headers->>'n' from pgq.job where id = %s",
        [job],
    ).fetchone()
    assert found == (
        "post", 2, True, 7, 1.5, "00:00:02", "00:01:30", "all", ["a", "b, c", '"}'], "1",
    )  # fmt: skip


@pytest.mark.parametrize(
    "payload",
    ["1e400", "1.10", "9" * 5000, '{"a":  [1.0, "\\u0000"]}', "null", '"x"', "[]", "-0.0"],
)
@pytest.mark.parametrize("path", [JOBS, f"{JOBS}/batch"])
def test_a_payload_is_kept_letter_by_letter(hall: Hall, payload: str, path: str) -> None:
    body = f'{{"task": "mail", "payload": {payload} }}'
    if path != JOBS:
        body = f'{{"jobs": [{body}]}}'
    answer = hall.api.post(path, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (200, 201), answer.text
    job = answer.json().get("id") or answer.json()["items"][0]["id"]
    assert column(hall, job, "payload::text") == payload
    assert f'"payload":{payload},' in hall.api.get(f"{JOBS}/{job}/payload").text


def test_a_batch_with_unique_keys_keeps_payloads_too(hall: Hall) -> None:
    payload = '{"a": "\\u0000 \\ud800 \\ud83d\\ude00"}'
    jobs = f'{{"task": "odd", "unique_key": "odd", "payload": {payload}}}, {{"task": "odd"}}'
    content = f'{{"jobs": [{jobs}]}}'
    headers = {"Content-Type": "application/json"}
    first, again = (
        hall.api.post(f"{JOBS}/batch", content=content, headers=headers).json()["items"]
        for _ in range(2)
    )
    assert [item["created"] for item in first + again] == [True, True, False, True]
    assert column(hall, first[0]["id"], "payload::text") == payload


def test_a_taken_unique_key_tells_who_has_it(hall: Hall) -> None:
    first = made(hall, unique_key="taken")
    answer = hall.api.post(JOBS, json={"task": "mail", "unique_key": "taken"})
    assert (answer.status_code, answer.json()) == (200, {"id": first, "created": False})


def test_a_batch_is_made_in_its_order(hall: Hall) -> None:
    jobs: list[dict[str, Any]] = [
        {"task": "one", "payload": [1]},
        {"task": "two", "queue": "post", "priority": 0, "tags": ["x"], "delay_seconds": 60},
        {"task": "three", "run_at": "2040-01-01T00:00:00Z", "headers": {"a": "b"}},
    ]
    answer = hall.api.post(f"{JOBS}/batch", json={"jobs": jobs})
    ids = [item["id"] for item in answer.json()["items"]]
    found = hall.conn.execute(
        "select task, queue, priority, tags, state, extract(year from run_at) = 2040 "
        "from pgq.job_status where id = any (%s) order by array_position(%s, id)",
        [ids, ids],
    ).fetchall()
    assert found == [
        ("one", "default", 5, [], "ready", None),
        ("two", "post", 0, ["x"], "scheduled", False),
        ("three", "default", 5, [], "scheduled", True),
    ]


def test_a_batch_tells_of_each_item_whether_its_key_was_taken(hall: Hall) -> None:
    first = made(hall, unique_key="batch")
    jobs = [{"task": "mail"}, {"task": "mail", "unique_key": "batch"}]
    items = hall.api.post(f"{JOBS}/batch", json={"jobs": jobs}).json()["items"]
    assert [item["created"] for item in items] == [True, False]
    assert items[1]["id"] == first


@pytest.mark.parametrize(
    ("change", "location"),
    [
        ({"task": ""}, "body.task"),
        ({"task": None}, "body.task"),
        ({"task": "a\0b"}, "body.task"),
        ({"task": "x" * 201}, "body.task"),
        ({"queue": ""}, "body.queue"),
        ({"priority": 10}, "body.priority"),
        ({"priority": "5"}, "body.priority"),
        ({"priority": True}, "body.priority"),
        ({"run_at": "tomorrow"}, "body.run_at"),
        ({"run_at": "2040-01-31T09:30:00"}, "body.run_at"),
        ({"run_at": "2040-02-31T09:30:00Z"}, "body.run_at"),
        ({"delay_seconds": -1}, "body.delay_seconds"),
        ({"delay_seconds": "1"}, "body.delay_seconds"),
        ({"timeout_seconds": 0}, "body.timeout_seconds"),
        ({"max_attempts": 0}, "body.max_attempts"),
        ({"tags": ["ok", ""]}, "body.tags.1"),
        ({"headers": []}, "body.headers"),
        ({"colour": "red"}, "body.colour"),
        ({"run_at": "2040-01-31T09:30:00Z", "delay_seconds": 1}, "body"),
    ],
)
def test_a_bad_value_is_located(hall: Hall, change: dict[str, Any], location: str) -> None:
    found = problem(hall.api.post(JOBS, json={"task": "mail", **change}), 422, "invalid-request")
    assert [error["location"] for error in found["errors"]] == [location]
    jobs = {"jobs": [{"task": "mail"}, {"task": "mail", **change}]}
    found = problem(hall.api.post(f"{JOBS}/batch", json=jobs), 422, "invalid-request")
    assert [error["location"] for error in found["errors"]] == [
        location.replace("body", "body.jobs.1")
    ]


def test_every_bad_value_is_named_at_once(hall: Hall) -> None:
    answer = hall.api.post(JOBS, json={"priority": 10, "colour": "red"})
    found = problem(answer, 422, "invalid-request")
    locations = {error["location"] for error in found["errors"]}
    assert locations == {"body.task", "body.priority", "body.colour"}


def test_what_the_database_refuses_is_located_too(hall: Hall) -> None:
    hall.conn.execute("select pgq.configure_queue('narrow', p_payload_limit => 10)")
    job = {"task": "mail", "queue": "narrow", "payload": "0123456789"}
    found = problem(hall.api.post(JOBS, json=job), 422, "invalid-request")
    assert [error["location"] for error in found["errors"]] == ["body.payload"]
    batch = {"jobs": [{"task": "mail"}, job]}
    found = problem(hall.api.post(f"{JOBS}/batch", json=batch), 422, "invalid-request")
    assert [error["location"] for error in found["errors"]] == ["body.jobs.1.payload"]


def test_a_batch_with_a_bad_item_makes_nothing(hall: Hall) -> None:
    hall.conn.execute("select pgq.configure_queue('strait', p_payload_limit => 10)")
    jobs = [
        {"task": "first", "queue": "strait"},
        {"task": "x", "queue": "strait", "payload": "0123456789"},
    ]
    problem(hall.api.post(f"{JOBS}/batch", json={"jobs": jobs}), 422, "invalid-request")
    assert hall.conn.execute("select from pgq.job where queue = 'strait'").fetchall() == []


@pytest.mark.parametrize(
    "body",
    [
        b"", b"null", b"[]", b"7", b'"x"',
    ],
)  # fmt: skip
def test_a_body_that_is_no_object_is_invalid(hall: Hall, body: bytes) -> None:
    answer = hall.api.post(JOBS, content=body, headers={"Content-Type": "application/json"})
    problem(answer, 422, "invalid-request")


@pytest.mark.parametrize(
    "body",
    [
        b"{", b'{"task": "mail",}', b'{"task": mail}', b"\xff", b'{"task": "a"} x',
        b'{"task": NaN}',
        b'{"task": "a", "payload": Infinity}', b'{"task": "a", "payload": [1,]}',
        b'{"task": "a", "payload": ' + b"[" * 100_000, b'{"task": "a", "task": "b"}',
        b'{"task": "a", "priority": ' + b"9" * 5000 + b"}", b'{"task" "a"}', b'{task: "a"}',
    ],
)  # fmt: skip
def test_a_body_that_is_no_json_is_malformed(hall: Hall, body: bytes) -> None:
    answer = hall.api.post(JOBS, content=body, headers={"Content-Type": "application/json"})
    problem(answer, 400, "malformed")


@pytest.mark.parametrize(
    "kind",
    ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin-1", ""],
)
def test_only_json_is_taken(hall: Hall, kind: str) -> None:
    answer = hall.api.post(JOBS, content=b'{"task":"mail"}', headers={"Content-Type": kind})
    problem(answer, 415, "unsupported-media-type")


def test_a_compressed_body_is_not_taken(hall: Hall) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    answer = hall.api.post(JOBS, content=b'{"task":"mail"}', headers=headers)
    problem(answer, 415, "unsupported-media-type")


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_over_the_limit_is_refused_however_it_is_sent(hall: Hall, chunked: bool) -> None:
    body = b'{"task":"mail","payload":"' + b"x" * 1_048_576 + b'"}'
    content: Any = iter([body[:500_000], body[500_000:]]) if chunked else body
    answer = hall.api.post(JOBS, content=content, headers={"Content-Type": "application/json"})
    problem(answer, 413, "too-large")


def test_a_body_right_at_the_limit_is_taken(hall: Hall) -> None:
    frame = b'{"task":"mail","payload":""}'
    body = frame[:-2] + b"x" * (1_048_576 - len(frame)) + frame[-2:]
    answer = hall.api.post(JOBS, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 201, answer.text
