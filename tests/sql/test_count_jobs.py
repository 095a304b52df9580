from __future__ import annotations

from typing import Any

import pytest

from sql.states import STATES, job_in
from sql.support import Conn, call, insert, refused, row

VERBS = {
    "cancel": {"scheduled", "ready", "retrying", "running"},
    "retry": {"dead", "cancelled"},
    "run_now": {"scheduled", "retrying"},
    "purge": {"dead"},
}


def counted(conn: Conn, **arguments: Any) -> tuple[int, bool, int | None]:
    (found,) = call(conn, "count_jobs", **arguments)
    return found["n"], found["capped"], found["looked_to"]


def test_jobs_that_a_list_would_show(conn: Conn) -> None:
    for each in STATES:
        job_in(conn, each, queue=each, tags=["t"], payload='{"a": 1}')
    for filters in (
        {},
        {"tag": "t"},
        {"queue": "dead"},
        {"state": "dead", "queues": ["dead", "ready"]},
        {"path": ["a"], "value": "1"},
        {"created_before": "2000-01-01"},
        {"worker": 0},
    ):
        listed = len(call(conn, "list_jobs", **filters))
        assert counted(conn, **filters) == (listed, False, None)


@pytest.mark.parametrize("verb", VERBS)
def test_jobs_that_an_operation_would_find(conn: Conn, verb: str) -> None:
    for each in STATES:
        job_in(conn, each, queue=each)
    assert counted(conn, verb=verb) == (len(VERBS[verb]), False, None)
    for each in STATES:
        if each in VERBS[verb]:
            assert counted(conn, verb=verb, state=each)[0] == 1
        else:
            assert counted(conn, verb=verb, queue=each)[0] == 0
            with refused("PQ005") as said:
                counted(conn, verb=verb, state=each)
            assert each in said.detail


def test_jobs_of_a_selection(conn: Conn) -> None:
    jobs = insert(conn, 4)
    assert counted(conn, ids=[jobs[0], jobs[2], 17])[0] == 2
    assert counted(conn, ids=jobs[1:], tag="none")[0] == 0
    assert counted(conn, ids=[])[0] == 0


def test_dead_letters_of_a_fingerprint(conn: Conn) -> None:
    job_in(conn, "dead", task="other")
    job_in(conn, "dead")
    job_in(conn, "ready")
    found = row(conn, "select fingerprint from pgq.list_dead(p_task => 'other')")
    assert counted(conn, **found)[0] == 1
    assert counted(conn, **found, state="dead", verb="retry")[0] == 1
    with refused("PQ005"):
        counted(conn, **found, verb="cancel")


def test_no_more_than_the_cap(conn: Conn) -> None:
    insert(conn, 5)
    assert counted(conn, cap=5) == (5, False, None)
    assert counted(conn, cap=4) == (4, True, None)


def test_count_that_stopped_goes_on(conn: Conn) -> None:
    jobs = insert(conn, 7)[::-1]
    n, capped, stopped = counted(conn, rows=4)
    assert (n, capped, stopped) == (4, False, jobs[3])
    assert counted(conn, rows=4, before=stopped) == (3, False, None)


@pytest.mark.parametrize(
    "bad",
    [
        {"cap": 0},
        {"cap": None},
        {"cap": 1000001},
        {"state": "x"},
        {"verb": "x"},
        {"rows": 0},
        {"ids": list(range(10001))},
    ],
)
def test_bad_argument_is_refused(conn: Conn, bad: dict[str, Any]) -> None:
    with refused("PQ005"):
        counted(conn, **bad)
