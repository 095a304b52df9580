from __future__ import annotations

from typing import Any

import pytest

from sql.states import STATES, job_in
from sql.support import (
    Conn,
    acting,
    answer,
    call,
    claim,
    column,
    connect,
    day_of_ids,
    hold,
    insert,
    refused,
    register,
    running,
    value,
)

NESTED = "[" * 5000 + "]" * 5000
SURROGATE = r"\ud83d"


def listed(conn: Conn, **arguments: Any) -> list[int]:
    return [each["id"] for each in call(conn, "list_jobs", **arguments)]


def with_payload(conn: Conn, payload: str) -> int:
    (job,) = insert(conn, payload=payload)
    return job


def searched(conn: Conn, **arguments: Any) -> tuple[list[int], int | None]:
    """What was found, and the id that the search goes on from."""
    found = call(conn, "list_jobs", **arguments)
    last = found.pop()["looked_to"] if found and found[-1]["id"] is None else None
    assert all(each["looked_to"] is None for each in found)
    return [each["id"] for each in found], last


def test_newest_come_first(conn: Conn) -> None:
    jobs = [job_in(conn, each) for each in STATES]
    assert listed(conn) == jobs[::-1]


def test_columns_are_those_of_job_status(conn: Conn) -> None:
    job_in(conn, "running")
    (found,) = call(conn, "list_jobs")
    status = column(
        conn,
        "select a.attname from pg_attribute a where a.attrelid = 'pgq.job_status'::regclass"
        " and a.attnum > 0 order by a.attnum",
    )
    assert list(found) == [*status, "looked_to"]


@pytest.mark.parametrize("wanted", STATES)
def test_only_jobs_of_the_state(conn: Conn, wanted: str) -> None:
    jobs = {each: job_in(conn, each, queue=each) for each in STATES}
    assert listed(conn, state=wanted) == [jobs[wanted]]
    assert call(conn, "list_jobs", state=wanted)[0]["state"] == wanted


@pytest.mark.parametrize("wanted", [None, *STATES])
def test_filters_hold_together_in_every_state(conn: Conn, wanted: str | None) -> None:
    of = wanted or "ready"
    job = job_in(conn, of, queue="q", task="t", tags=["a", "b"])
    for other in ({"queue": "q"}, {"task": "t"}, {"tags": ["a"]}):
        job_in(conn, of, **{"queue": of, **other})
    assert listed(conn, state=wanted, queue="q", task="t", tag="a") == [job]
    for one in ({"queue": "q"}, {"task": "t"}, {"tag": "a"}):
        assert len(listed(conn, state=wanted, **one)) == 2
    assert listed(conn, state=wanted, tag="c") == []


@pytest.mark.parametrize("wanted", [None, "ready"])
def test_pages_go_on_below_an_id(conn: Conn, wanted: str | None) -> None:
    jobs = insert(conn, 7)[::-1]
    pages: list[list[int]] = []
    while page := listed(conn, state=wanted, limit=3, before=pages[-1][-1] if pages else None):
        pages.append(page)
    assert pages == [jobs[:3], jobs[3:6], jobs[6:]]


def test_jobs_that_are_being_deleted_do_not_shorten_a_page(conn: Conn) -> None:
    kept = insert(conn, 2)
    job_in(conn, "cancelled", queue="gone")
    conn.execute("delete from pgq.finished")
    assert listed(conn, limit=2) == kept[::-1]


@pytest.mark.parametrize("wanted", [None, *STATES])
def test_oldest_come_first_after_an_id(conn: Conn, wanted: str | None) -> None:
    jobs = sorted(job_in(conn, wanted or "cancelled") for _ in range(4))
    assert listed(conn, state=wanted, after=jobs[0]) == jobs[1:]
    assert listed(conn, state=wanted, after=jobs[0], before=jobs[3], limit=5) == jobs[1:3]


@pytest.mark.parametrize("wanted", [None, *STATES])
def test_only_jobs_of_these_queues(conn: Conn, wanted: str | None) -> None:
    made = {queue: job_in(conn, wanted or "cancelled", queue=queue) for queue in ("a", "b", "c")}
    assert listed(conn, state=wanted, queues=["a", "c"]) == [made["c"], made["a"]]
    assert listed(conn, state=wanted, queues=["a", "c"], queue="a") == [made["a"]]
    assert listed(conn, state=wanted, queues=["a"], queue="b") == []
    assert listed(conn, state=wanted, queues=["none"]) == []
    assert listed(conn, state=wanted, queues=[]) == []


@pytest.mark.parametrize("wanted", ["running", "succeeded", "dead"])
def test_jobs_that_a_worker_runs_or_was_last_to_run(conn: Conn, wanted: str) -> None:
    one, other = register(conn, "one", name="one"), register(conn, "other", name="other")
    leases = [running(conn, worker=one, queue="one"), running(conn, worker=other, queue="other")]
    if wanted == "succeeded":
        for lease in leases:
            answer(conn, "complete", **hold(lease))
    elif wanted == "dead":
        for lease in leases:
            call(conn, "fail", **hold(lease), permanent=True)
    for state in (None, wanted):
        assert listed(conn, state=state, worker=other) == [leases[1]["id"]]
    assert listed(conn, state="ready", worker=other) == []


@pytest.mark.parametrize("wanted", [None, "ready"])
def test_jobs_of_a_time(conn: Conn, wanted: str | None) -> None:
    jobs = insert(conn, 3)
    for job, age in zip(jobs, ("3 hours", "2 hours", "1 hour"), strict=True):
        conn.execute(
            "update pgq.job set created_at = date_trunc('hour', now()) - %s::interval"
            " where id = %s",
            [age, job],
        )
    then = value(conn, "select date_trunc('hour', now()) - interval '2 hours'")
    assert listed(conn, state=wanted, created_after=then) == [jobs[2], jobs[1]]
    assert listed(conn, state=wanted, created_before=then) == [jobs[0]]
    assert listed(conn, state=wanted, created_after=then, created_before=then) == []
    assert len(listed(conn, state=wanted, created_after="-infinity")) == 3
    assert len(listed(conn, state=wanted, created_before="infinity")) == 3
    assert listed(conn, state=wanted, created_before="-infinity") == []
    assert listed(conn, state=wanted, created_after="2999-01-01") == []


def test_job_of_an_old_day_is_found_by_its_time(conn: Conn) -> None:
    """Ids go on in the last day while nobody does upkeep."""
    day_of_ids(conn, 9)
    (job,) = insert(conn)
    conn.execute("update pgq.job set created_at = now() - interval '2 days'")
    assert listed(conn, created_after=value(conn, "select now() - interval '3 days'")) == [job]
    assert listed(conn, created_after=value(conn, "select now() - interval '1 day'")) == []


def test_job_of_a_transaction_over_midnight_is_found_by_its_time(conn: Conn) -> None:
    (job,) = insert(conn)
    conn.execute("update pgq.job set created_at = now() - interval '23 hours'")
    assert listed(conn, created_before=value(conn, "select now() - interval '22 hours'")) == [job]


def test_days_after_the_time_are_not_searched(conn: Conn) -> None:
    day_of_ids(conn, 9)
    (old,) = insert(conn)
    conn.execute("update pgq.job set created_at = now() - interval '9 days'")
    conn.execute("select setval('pgq.job_id_seq', pgq._today()::bigint << 32)")
    insert(conn, 10)
    then = value(conn, "select now() - interval '8 days'")
    assert searched(conn, created_before=then, rows=2) == ([old], None)


def test_days_before_the_time_are_not_searched(conn: Conn) -> None:
    for days in (19, 9):
        day_of_ids(conn, days)
        insert(conn, 10)
    conn.execute("update pgq.job set created_at = now() - interval '9 days'")
    conn.execute("select setval('pgq.job_id_seq', pgq._today()::bigint << 32)")
    (new,) = insert(conn)
    then = value(conn, "select now() - interval '1 hour'")
    assert searched(conn, created_after=then, rows=11) == ([new], None)


@pytest.mark.parametrize(
    ("payload", "path", "wanted"),
    [
        ('{"user": {"id": 42}}', ["user", "id"], "42"),
        ('{"user": {"id": "42"}}', ["user", "id"], "42"),
        ('{"n": 1.10}', ["n"], "1.10"),
        ('[{"a": true}, 7]', ["0", "a"], "true"),
        ('{"a": {"b":  1}}', ["a"], '{"b":  1}'),
        (r'{"a": "\u00e4 \"q\""}', ["a"], 'ä "q"'),
        (r'{"\u0061": "x"}', ["a"], "x"),
        ('{"a": ""}', ["a"], ""),
        ('{"a": ' + "7" * 5000 + "}", ["a"], "7" * 5000),
        ('{"a": 1e131071, "b": 1}', ["a"], "1e131071"),
        ('{"deep": ' + NESTED + ', "b": 1}', ["b"], "1"),
        (r'{"z": "\u0000", "b": 1}', ["b"], "1"),
        (f'{{"z": "{SURROGATE}", "b": 1}}', ["b"], "1"),
        (f'{{"z": "{SURROGATE}\\u0000", "b": "\\\\"}}', ["b"], "\\"),
    ],
)
@pytest.mark.parametrize("state", [None, "ready"])
def test_value_inside_a_payload(
    conn: Conn, state: str | None, payload: str, path: list[str], wanted: str
) -> None:
    with_payload(conn, "{}")
    job = with_payload(conn, payload)
    with_payload(conn, '{"user": {"id": 421}, "b": {"n": "42"}}')
    assert listed(conn, state=state, path=path, value=wanted) == [job]
    assert listed(conn, state=state, path=path, value=wanted + "x") == []
    assert listed(conn, state=state, path=["other"], value=wanted) == []


@pytest.mark.parametrize(
    "odd",
    [
        "7" * 5000,
        "1e131071",
        NESTED,
        r'"\u0000"',
        r'"\\"',
        f'"{SURROGATE}"',
        r'{"\u0000": {"\u0000": 1}}',
        "null",
        '"a"',
        "[]",
    ],
)
def test_no_payload_is_too_odd_to_search(conn: Conn, odd: str) -> None:
    jobs = [with_payload(conn, each) for each in (odd, f'{{"a": {odd}}}', f"[{odd}, 1]")]
    for path in (["a"], ["0"], ["a", "a"], [""]):
        for wanted in ("a", "1", "", "\\", "null"):
            assert set(listed(conn, path=path, value=wanted)) <= set(jobs)


def test_huge_number_is_compared_as_it_was_sent(conn: Conn) -> None:
    job = with_payload(conn, '{"a": [1e131071, "x"]}')
    assert listed(conn, path=["a"], value='[1e131071, "x"]') == [job]
    assert listed(conn, path=["a", "0"], value="1e131071") == [job]
    assert listed(conn, path=["a", "0"], value="1" + "0" * 131071) == []


def test_who_may_not_see_payloads_cannot_search_them(conn: Conn, dsn: str) -> None:
    job = with_payload(conn, '{"secret": "s3"}')
    with connect(dsn) as other:
        with acting(other, "pgq_viewer"):
            assert listed(other) == [job]
        for verb in ("list_jobs", "count_jobs"):
            with refused("42501") as said, acting(other, "pgq_viewer"):
                call(other, verb, path=["secret"], value="s3")
        assert "pgq_operator" in said.hint
        with acting(other, "pgq_admin"):
            assert listed(other, path=["secret"], value="s3") == [job]


@pytest.mark.parametrize("wanted", [None, "ready"])
def test_search_stops_after_so_many_rows_and_goes_on(conn: Conn, wanted: str | None) -> None:
    jobs = insert(conn, 7)[::-1]
    conn.execute("update pgq.job set task = 'rare' where id = any(%s)", [[jobs[1], jobs[5]]])
    first, stopped = searched(conn, state=wanted, task="rare", rows=4)
    assert (first, stopped) == ([jobs[1]], jobs[3])
    assert searched(conn, state=wanted, task="rare", rows=4, before=stopped) == ([jobs[5]], None)


def test_search_from_the_oldest_goes_on_as_well(conn: Conn) -> None:
    jobs = insert(conn, 5)
    found, stopped = searched(conn, tag="none", rows=3, after=0)
    assert (found, stopped) == ([], jobs[2])
    assert searched(conn, rows=3, after=stopped) == (jobs[3:], None)


def test_search_without_time_looks_at_one_job_and_goes_on(conn: Conn) -> None:
    jobs = insert(conn, 4)[::-1]
    met, stopped = [], None
    for _ in jobs[:-1]:
        found, stopped = searched(conn, budget="0", before=stopped)
        met += found
    assert met == jobs[:3]
    assert searched(conn, budget="0", before=stopped) == (jobs[3:], None)


def test_full_page_is_no_stopped_search(conn: Conn) -> None:
    insert(conn, 5)
    assert searched(conn, limit=3, rows=3)[1] is None


@pytest.mark.parametrize("wanted", ["retrying", "scheduled", "succeeded", "cancelled"])
def test_jobs_of_the_other_state_in_its_table_are_looked_at_or_skipped(
    conn: Conn, wanted: str
) -> None:
    """Retrying jobs have an index; else it goes on as for any filter."""
    other = {
        "retrying": "scheduled",
        "scheduled": "retrying",
        "succeeded": "cancelled",
        "cancelled": "succeeded",
    }[wanted]
    job = job_in(conn, wanted)
    for _ in range(4):
        job_in(conn, other)
    found, stopped = searched(conn, state=wanted, rows=2)
    assert found == ([job] if wanted == "retrying" else [])
    while stopped is not None:
        found, stopped = searched(conn, state=wanted, rows=2, before=stopped)
    assert found == [job]


@pytest.mark.parametrize(
    "bad",
    [
        {"state": "waiting"},
        {"limit": 0},
        {"limit": 10001},
        {"limit": None},
        {"rows": 0},
        {"rows": None},
        {"budget": "-1 second"},
        {"budget": "2 minutes"},
        {"budget": None},
        {"path": ["a"]},
        {"value": "a"},
        {"path": [], "value": "a"},
        {"path": ["a", None], "value": "a"},
    ],
)
def test_bad_argument_is_refused(conn: Conn, bad: dict[str, Any]) -> None:
    with refused("PQ005"):
        call(conn, "list_jobs", **bad)


def test_page_of_200_000_jobs_reads_no_more_than_it_shows(conn: Conn) -> None:
    insert(conn, 200_000)
    claim(conn, limits=100)
    conn.execute(
        "select pg_stat_force_next_flush()"
    ) if conn.info.server_version >= 150000 else None
    for wanted in (None, "ready", "running"):
        conn.execute("begin")
        before = _read(conn)
        assert len(listed(conn, state=wanted, queue="default", limit=50)) == 50
        assert _read(conn) - before < 5_000
        conn.execute("commit")


def _read(conn: Conn) -> int:
    """Rows that this transaction has read, by whatever scan."""
    return int(
        value(
            conn,
            "select coalesce(sum(pg_stat_get_xact_tuples_returned(c.oid)), 0) from pg_class c"
            " where c.relnamespace = 'pgq'::regnamespace",
        )
    )
