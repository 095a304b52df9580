from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from sql.states import STATES, job_in
from sql.support import (
    Conn,
    answer,
    call,
    claim,
    claim_one,
    column,
    hold,
    insert,
    row,
    rows,
    running,
    state,
    value,
)


def test_each_job_stands_there_once_with_its_state(conn: Conn) -> None:
    jobs = {job_in(conn, each): each for each in STATES}
    found = rows(conn, "select s.id, s.state from pgq.job_status s")
    assert {each["id"]: each["state"] for each in found} == jobs
    assert len(found) == len(jobs)


def test_snoozed_job_is_scheduled(conn: Conn) -> None:
    lease = running(conn)
    answer(conn, "snooze", **hold(lease), delay="1 hour")
    found = row(conn, "select s.state, s.attempt, s.run_at > now() as later from pgq.job_status s")
    assert found == {"state": "scheduled", "attempt": 0, "later": True}


def test_running_job_shows_its_attempt(conn: Conn) -> None:
    lease = running(conn)
    call(conn, "fail", **hold(lease), retry_in="0")
    answer(conn, "promote")
    claim_one(conn)
    assert value(conn, "select s.attempt from pgq.job_status s") == 2


def test_job_whose_day_is_being_deleted_is_no_longer_shown(conn: Conn) -> None:
    job = job_in(conn, "succeeded")
    conn.execute("delete from pgq.finished")
    assert state(conn, job) is None


def test_payload_headers_and_result_are_never_shown(conn: Conn) -> None:
    (job,) = insert(conn, payload='"secret-payload"', headers='{"h": "secret-header"}')
    answer(conn, "complete", **hold(claim_one(conn)), result='"secret-result"')
    assert "secret" not in value(
        conn, "select string_agg(s::text, '') from pgq.job_status s where s.id = %s", [job]
    )


def test_viewer_sees_it(conn: Conn) -> None:
    job = job_in(conn, "ready")
    conn.execute("set role pgq_viewer")
    assert column(conn, "select s.id from pgq.job_status s") == [job]


@pytest.mark.parametrize("role", ["pgq_enqueuer", "pgq_worker"])
def test_others_do_not(conn: Conn, role: str) -> None:
    conn.execute(f"set role {role}")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        conn.execute("select s.id from pgq.job_status s")


@pytest.mark.parametrize("analysed", [False, True])
def test_look_up_by_id_reads_a_few_pages_of_200_000_jobs(conn: Conn, analysed: bool) -> None:
    insert(conn, 100_000, run_at="2100-01-01")
    insert(conn, 100_000)
    job = claim(conn, limits=5_000)[-1]["id"]
    if analysed:
        conn.execute("analyze")
    (plan,) = value(
        conn,
        "explain (analyze, buffers, format json) select * from pgq.job_status s where s.id = %s",
        [job],
    )
    assert plan["Plan"]["Actual Rows"] == 1
    assert plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"] < 60
    assert not {"ready", "delayed", "lease"} & set(_scanned(plan["Plan"]))


def _scanned(node: dict[str, Any]) -> Iterator[str]:
    """Tables that a plan reads from end to end."""
    if node["Node Type"] == "Seq Scan":
        yield node["Relation Name"]
    for part in node.get("Plans", []):
        yield from _scanned(part)
