from __future__ import annotations

from sql.states import STATES, job_in
from sql.support import Conn, call, refused


def test_what_is_told_of_each_is_what_get_job_tells(conn: Conn) -> None:
    jobs = [job_in(conn, state) for state in STATES]
    expected = [one for job in jobs for one in call(conn, "get_job", id=job)]
    assert call(conn, "get_jobs", ids=jobs) == expected


def test_order_is_that_of_the_ids(conn: Conn) -> None:
    jobs = [job_in(conn, "ready") for _ in range(3)]
    wanted = [jobs[1], jobs[2], jobs[0]]
    assert [found["id"] for found in call(conn, "get_jobs", ids=wanted)] == wanted


def test_unknown_jobs_are_left_out(conn: Conn) -> None:
    job = job_in(conn, "ready")
    assert [found["id"] for found in call(conn, "get_jobs", ids=[1, job, 2])] == [job]
    assert call(conn, "get_jobs", ids=[]) == []


def test_too_many_are_refused(conn: Conn) -> None:
    with refused("PQ005"):
        call(conn, "get_jobs", ids=[1] * 10_001)
