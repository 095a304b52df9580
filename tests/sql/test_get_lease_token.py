from __future__ import annotations

from sql.support import Conn, answer, call, claim_one, hold, hold_all, register, running


def test_token_is_that_of_the_lease_the_worker_has_now(conn: Conn) -> None:
    worker = register(conn)
    lease = running(conn, worker=worker)
    assert answer(conn, "get_lease_token", id=lease["id"], worker=worker) == lease["token"]
    call(conn, "release", **hold_all(lease))
    again = claim_one(conn, worker=worker)
    assert again["id"] == lease["id"]
    assert answer(conn, "get_lease_token", id=lease["id"], worker=worker) == again["token"]


def test_who_does_not_run_the_job_gets_no_token(conn: Conn) -> None:
    mine, other = register(conn), register(conn)
    lease = running(conn, worker=mine)
    for job, worker in ((lease["id"], other), (lease["id"], 0), (1, mine), (None, None)):
        assert answer(conn, "get_lease_token", id=job, worker=worker) is None
    call(conn, "complete", **hold(lease))
    assert answer(conn, "get_lease_token", id=lease["id"], worker=mine) is None
