from __future__ import annotations

import psycopg
import pytest

from sql.states import assert_refuses_unknown_jobs, job_in
from sql.support import Conn, answer, call, claim_one, hold, insert


def test_payload_headers_and_result_are_returned(conn: Conn) -> None:
    (job,) = insert(conn, payload="[1]", headers='{"h": 2}')
    assert call(conn, "get_payload", id=job) == [
        {"payload": [1], "headers": {"h": 2}, "result": None}
    ]
    answer(conn, "complete", **hold(claim_one(conn)), result="[3]")
    assert call(conn, "get_payload", id=job)[0]["result"] == [3]


def test_unknown_job_is_refused(conn: Conn) -> None:
    assert_refuses_unknown_jobs(conn, "get_payload")


@pytest.mark.parametrize("role", ["pgq_viewer", "pgq_enqueuer"])
def test_viewers_and_producers_see_no_payload(conn: Conn, role: str) -> None:
    job = job_in(conn, "ready")
    conn.execute(f"set role {role}")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        conn.execute("select * from pgq.get_payload(%s)", [job])


@pytest.mark.parametrize("role", ["pgq_operator", "pgq_worker", "pgq_admin"])
def test_operators_and_workers_do(conn: Conn, role: str) -> None:
    job = job_in(conn, "ready")
    conn.execute(f"set role {role}")
    assert conn.execute("select * from pgq.get_payload(%s)", [job]).fetchone()
