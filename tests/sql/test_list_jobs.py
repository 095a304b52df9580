from __future__ import annotations

from typing import Any

import pytest

from sql.states import STATES, job_in
from sql.support import Conn, call, claim, column, insert, refused, value


def listed(conn: Conn, **arguments: Any) -> list[int]:
    return [each["id"] for each in call(conn, "list_jobs", **arguments)]


def test_newest_come_first(conn: Conn) -> None:
    jobs = [job_in(conn, each) for each in STATES]
    assert listed(conn) == jobs[::-1]


def test_columns_are_those_of_job_status(conn: Conn) -> None:
    job_in(conn, "running")
    (found,) = call(conn, "list_jobs")
    assert list(found) == column(
        conn,
        "select a.attname from pg_attribute a where a.attrelid = 'pgq.job_status'::regclass"
        " and a.attnum > 0 order by a.attnum",
    )


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


@pytest.mark.parametrize(
    "bad", [{"state": "waiting"}, {"limit": 0}, {"limit": 10001}, {"limit": None}]
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
