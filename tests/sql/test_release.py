"""release: jobs that a worker gives back in good order."""

from __future__ import annotations

import uuid

from sql.support import (
    Conn,
    answer,
    attempts,
    call,
    claim,
    claim_one,
    hold,
    hold_all,
    insert,
    lose,
    register,
    row,
    running,
    state,
    value,
)


def test_released_job_is_ready_at_once(conn: Conn) -> None:
    lease = running(conn)
    assert call(conn, "release", **hold_all(lease)) == []
    assert claim_one(conn)["id"] == lease["id"]


def test_release_costs_no_attempt(conn: Conn) -> None:
    lease = running(conn, max_attempts=1)
    for _ in range(5):
        call(conn, "release", **hold_all(lease), begun=[True])
        lease = claim_one(conn)
        assert lease["attempt"] == 1
        assert not lease["suspect"]
    assert not any(each["charged"] for each in attempts(conn, lease["id"]))


def test_only_a_job_that_had_begun_leaves_an_attempt(conn: Conn) -> None:
    insert(conn, 3)
    leases = claim(conn, limits=3)
    call(conn, "release", **hold_all(*leases), begun=[True, False, None])
    assert [[each["reason"] for each in attempts(conn, lease["id"])] for lease in leases] == [
        ["released"],
        [],
        [],
    ]


def test_released_job_goes_to_the_end_of_its_lane(conn: Conn) -> None:
    first = running(conn)
    (second,) = insert(conn)
    call(conn, "release", **hold_all(first))
    assert [each["id"] for each in claim(conn, limits=2)] == [second, first["id"]]


def test_release_keeps_the_unique_key(conn: Conn) -> None:
    lease = running(conn, unique_key="k")
    call(conn, "release", **hold_all(lease))
    assert insert(conn, unique_key="k") == []
    call(conn, "complete", **hold(claim_one(conn)))
    assert len(insert(conn, unique_key="k")) == 1


def test_released_suspect_stays_a_suspect(conn: Conn) -> None:
    worker = register(conn)
    running(conn, worker=worker)
    lose(conn, worker)
    lease = claim_one(conn)
    assert lease["suspect"]
    call(conn, "release", **hold_all(lease), begun=[True])
    lease = claim_one(conn)
    assert lease["suspect"]
    assert value(conn, "select crashes from pgq.lease") == 0


def test_lost_jobs_are_told(conn: Conn) -> None:
    lease, lost = running(conn), running(conn)
    call(conn, "complete", **hold(lost))
    answered = call(
        conn,
        "release",
        ids=[lost["id"], lease["id"], 7],
        tokens=[lost["token"], lease["token"], uuid.uuid4()],
    )
    assert {each["id"] for each in answered} == {lost["id"], 7}
    assert state(conn, lease["id"]) == "ready"


def test_release_cannot_be_repeated(conn: Conn) -> None:
    """The second answer may be wrong about the first call, never about the job."""
    lease = running(conn)
    call(conn, "release", **hold_all(lease))
    assert call(conn, "release", **hold_all(lease)) == [{"id": lease["id"]}]
    assert value(conn, "select count(*) from pgq.ready") == 1


def test_job_that_was_to_be_cancelled_is_not_run_again(conn: Conn) -> None:
    lease = running(conn)
    call(conn, "cancel", id=lease["id"])
    assert call(conn, "release", **hold_all(lease)) == []
    assert state(conn, lease["id"]) == "cancelled"


def test_counts_agree_with_what_stands(conn: Conn) -> None:
    insert(conn, 3)
    call(conn, "release", **hold_all(*claim(conn, limits=2)))
    answer(conn, "fold")
    back = row(conn, "select n from pgq.counter where label = 'running>ready'")
    assert back["n"] == 2
