from __future__ import annotations

from sql.states import job_in
from sql.support import Conn, answer, call, claim_one, hold, insert, refused, register


def test_bad_attempts_are_listed_oldest_first(conn: Conn) -> None:
    worker = register(conn, name="box-1")
    (job,) = insert(conn)
    for message in ("one", "two", "three"):
        lease = claim_one(conn, worker=worker, executor=4)
        call(conn, "fail", **hold(lease), error_class="Boom", message=message, traceback="at x")
        answer(conn, "run_now", id=job)
    found = call(conn, "list_attempts", id=job)
    assert [each["message"] for each in found] == ["one", "two", "three"]
    assert [each["attempt"] for each in found] == [1, 2, 3]
    assert {(each["worker"], each["worker_name"], each["executor"]) for each in found} == {
        (worker, "box-1", 4)
    }
    assert {(each["reason"], each["charged"], each["traceback"]) for each in found} == {
        ("error", True, "at x")
    }


def test_limit_keeps_the_last_ones(conn: Conn) -> None:
    (job,) = insert(conn)
    for message in ("one", "two", "three"):
        call(conn, "fail", **hold(claim_one(conn)), message=message)
        answer(conn, "run_now", id=job)
    found = call(conn, "list_attempts", id=job, limit=2)
    assert [each["message"] for each in found] == ["two", "three"]


def test_tokens_are_not_told(conn: Conn) -> None:
    (found,) = call(conn, "list_attempts", id=job_in(conn, "dead"))
    assert "token" not in found


def test_job_without_bad_attempts_has_none(conn: Conn) -> None:
    assert call(conn, "list_attempts", id=job_in(conn, "succeeded")) == []


def test_bad_limit_is_refused(conn: Conn) -> None:
    with refused("PQ005"):
        call(conn, "list_attempts", id=1, limit=0)
