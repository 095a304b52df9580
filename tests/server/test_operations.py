"""One verb on many jobs."""

from __future__ import annotations

from typing import Any

import pytest
from serving import Hall, bury, enqueue, problem, token

PATH = "/api/v1/operations"
DEAD = "/api/v1/dead"


def worked_off(hall: Hall, operation: dict[str, Any]) -> dict[str, Any]:
    """The operation when upkeep is through with it."""
    while hall.api.get(f"{PATH}/{operation['id']}").json()["state"] == "running":
        hall.conn.execute("select pgq.operate()")
    found: dict[str, Any] = hall.api.get(f"{PATH}/{operation['id']}").json()
    return found


def buried(hall: Hall, queue: str, n: int, payload: str = '{"n": 1.10}') -> list[int]:
    jobs = []
    for _ in range(n):
        jobs.append(enqueue(hall.conn, queue=queue, payload=payload))
        bury(hall.conn, jobs[-1], queue)
    return jobs


def states(hall: Hall, queue: str) -> list[Any]:
    rows = hall.conn.execute("select state from pgq.job_status where queue = %s", [queue])
    return sorted(state for (state,) in rows.fetchall())


def test_a_filter_is_worked_off_by_upkeep(hall: Hall) -> None:
    for _ in range(3):
        enqueue(hall.conn, queue="many")
    answer = hall.api.post(PATH, json={"verb": "cancel", "filter": {"queue": "many"}})
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == f"{PATH}/{answer.json()['id']}"
    done = worked_off(hall, answer.json())
    assert (done["state"], done["done"]) == ("done", 3)
    assert states(hall, "many") == ["cancelled"] * 3
    assert done in hall.api.get(PATH).json()["items"]


def test_a_selection_is_worked_off(hall: Hall) -> None:
    jobs = [enqueue(hall.conn, queue="some") for _ in range(3)]
    answer = hall.api.post(PATH, json={"verb": "cancel", "ids": jobs[:2]})
    assert worked_off(hall, answer.json())["done"] == 2
    assert states(hall, "some") == ["cancelled", "cancelled", "ready"]


def test_a_preview_counts_and_does_nothing(hall: Hall) -> None:
    for _ in range(3):
        enqueue(hall.conn, queue="seen")
    body = {"verb": "cancel", "filter": {"queue": "seen"}, "preview": True}
    answer = hall.api.post(PATH, json=body)
    assert (answer.status_code, answer.json()) == (200, {"preview": {"n": 3, "capped": False}})
    assert states(hall, "seen") == ["ready"] * 3


def test_an_operation_is_stopped(hall: Hall) -> None:
    for _ in range(3):
        enqueue(hall.conn, queue="halted")
    body = {"verb": "cancel", "filter": {"queue": "halted"}}
    operation = hall.api.post(PATH, json=body).json()
    stopped = hall.api.post(f"{PATH}/{operation['id']}/stop").json()
    assert stopped["state"] == "stopped"
    hall.conn.execute("select pgq.operate()")
    assert states(hall, "halted") == ["ready"] * 3


def test_an_unknown_operation_is_404(hall: Hall) -> None:
    problem(hall.api.get(f"{PATH}/999999"), 404, "not-found")


def test_dead_letters_are_retried_with_changed_payloads(hall: Hall) -> None:
    jobs = buried(hall, "changed", 2)
    body = {"queue": "changed", "payload": {"m": 1e2}}
    worked_off(hall, hall.api.post(f"{DEAD}/retry", json=body).json())
    assert states(hall, "changed") == ["ready", "ready"]
    content = hall.api.get(f"/api/v1/jobs/{jobs[0]}/payload").text
    assert "1.10" in content
    assert '"m"' in content


def test_five_are_retried_as_a_test_before_the_rest(hall: Hall) -> None:
    buried(hall, "tested", 6)
    done = worked_off(
        hall, hall.api.post(f"{DEAD}/retry", json={"queue": "tested", "limit": 5}).json()
    )
    assert done["done"] == 5
    assert states(hall, "tested") == ["dead", *["ready"] * 5]


def test_dead_letters_of_one_kind_are_purged(hall: Hall) -> None:
    jobs = buried(hall, "purged", 2)
    (group,) = hall.api.get(f"{DEAD}/groups", params={"queue": "purged"}).json()["items"]
    assert (group["n"], group["error_class"], group["last_id"]) == (2, "ValueError", jobs[-1])
    body = {"queue": "purged", "fingerprint": group["fingerprint"]}
    assert worked_off(hall, hall.api.post(f"{DEAD}/purge", json=body).json())["done"] == 2
    assert states(hall, "purged") == []


def test_a_purge_of_everything_has_to_be_said(hall: Hall) -> None:
    problem(hall.api.post(f"{DEAD}/purge", json={}), 422, "invalid-request")
    problem(hall.api.post(f"{DEAD}/purge", json={"rate": 1.0}), 422, "invalid-request")


@pytest.mark.parametrize(
    "body",
    [
        {"verb": "cancel"},
        {"verb": "cancel", "ids": [1], "filter": {}},
        {"verb": "cancel", "ids": []},
        {"verb": "cancel", "ids": ["1"]},
        {"verb": "explode", "ids": [1]},
        {"verb": "cancel", "ids": [1], "payload": {}},
        {"verb": "retry", "ids": [1], "payload": []},
        {"verb": "cancel", "filter": {"path": ["a"]}},
        {"verb": "cancel", "filter": {}},
        {"verb": "cancel", "filter": {"queue": None}},
        {"verb": "cancel", "ids": [1], "rate": 0},
    ],
)
def test_what_makes_no_sense_is_refused(hall: Hall, body: dict[str, Any]) -> None:
    problem(hall.api.post(PATH, json=body), 422, "invalid-request")


def test_a_jobs_copy_is_another_job(hall: Hall) -> None:
    job = enqueue(hall.conn, queue="copied", payload='{"n": 1.10}', unique_key="k")
    answer = hall.api.post(f"/api/v1/jobs/{job}/duplicate", json={"priority": 0})
    assert answer.status_code == 201, answer.text
    copy = hall.api.get(answer.headers["location"]).json()
    assert copy["id"] != job
    assert (copy["queue"], copy["priority"], copy["unique_key"]) == ("copied", 0, None)
    assert "1.10" in hall.api.get(f"{answer.headers['location']}/payload").text


def test_a_jobs_copy_can_come_later(hall: Hall) -> None:
    path = f"/api/v1/jobs/{enqueue(hall.conn, queue='copied')}/duplicate"
    later = hall.api.post(path, json={"delay_seconds": 60})
    assert hall.api.get(later.headers["location"]).json()["state"] == "scheduled"
    both = {"delay_seconds": 60, "run_at": "2999-01-01T00:00:00Z"}
    problem(hall.api.post(path, json=both), 422, "invalid-request")


def test_a_jobs_timeline_is_told(hall: Hall) -> None:
    (job,) = buried(hall, "timed", 1)
    events = hall.api.get(f"/api/v1/jobs/{job}/events").json()["items"]
    assert events[0]["event"] == "created"
    assert "died" in {event["event"] for event in events}


def test_an_operation_of_a_limited_token_keeps_to_its_queues(guarded: Hall) -> None:
    inside, outside = (enqueue(guarded.conn, queue=queue) for queue in ("inside", "outside"))
    mine = guarded.service.client(token(guarded.conn, "operate", queues=["inside"]))
    theirs = guarded.service.client(token(guarded.conn, "operate", queues=["outside"]))
    for body in ({"filter": {"task": "mail"}}, {"ids": [inside, outside]}):
        answer = mine.post(PATH, json={"verb": "cancel", **body})
        place = answer.headers["location"]
        problem(theirs.get(place), 404, "not-found")
        problem(theirs.post(f"{place}/stop"), 404, "not-found")
        assert theirs.get(PATH).json()["items"] == []
        while mine.get(place).json()["state"] == "running":
            guarded.conn.execute("select pgq.operate()")
    assert [each["state"] for each in mine.get(PATH).json()["items"]] == ["done", "done"]
    assert states(guarded, "inside") == ["cancelled"]
    assert states(guarded, "outside") == ["ready"]
