from __future__ import annotations

import uuid

import pytest

from sql.support import (
    Conn,
    answer,
    call,
    claim,
    claim_one,
    connect,
    hold,
    hold_all,
    insert,
    lose,
    move_clock,
    refused,
    register,
    repeat_sweep,
    running,
    state,
    value,
)


def told(conn: Conn, worker: int) -> bool:
    (heard,) = call(conn, "heartbeat", worker=worker, ids=[], tokens=[])
    return bool(heard["drain"])


def shown(conn: Conn, worker: int) -> str:
    return str(call(conn, "get_worker", id=worker)[0]["state"])


def test_draining_worker_claims_nothing(conn: Conn) -> None:
    worker, other = register(conn), register(conn)
    insert(conn, 2)
    assert answer(conn, "drain", worker=worker) is True
    assert claim(conn, worker=worker) == []
    assert len(claim(conn, worker=other)) == 1
    assert len(claim(conn)) == 1


def test_draining_worker_claims_no_suspects(conn: Conn) -> None:
    lost, worker = register(conn), register(conn)
    running(conn, worker=lost)
    answer(conn, "drain", worker=worker)
    lose(conn, lost)
    assert claim(conn, worker=worker, suspects=True) == []


def test_draining_worker_finishes_what_it_has(conn: Conn) -> None:
    worker = register(conn)
    insert(conn)
    token = uuid.uuid4()
    lease = claim_one(conn, worker=worker, token=token)
    answer(conn, "drain", worker=worker)
    assert claim_one(conn, worker=worker, token=token)["id"] == lease["id"]
    call(conn, "heartbeat", worker=worker, **hold_all(lease), busy=1)
    call(conn, "complete", **hold(lease))
    assert state(conn, lease["id"]) == "succeeded"


def test_heartbeat_tells_the_worker(conn: Conn) -> None:
    worker, other = register(conn), register(conn)
    assert not told(conn, worker)
    answer(conn, "drain", worker=worker)
    assert told(conn, worker)
    assert not told(conn, other)
    answer(conn, "drain", worker=worker, on=False)
    assert not told(conn, worker)


def test_worker_takes_up_again_when_draining_is_switched_off(conn: Conn) -> None:
    worker = register(conn)
    insert(conn)
    answer(conn, "drain", worker=worker)
    assert claim(conn, worker=worker) == []
    assert answer(conn, "drain", worker=worker, on=False) is True
    assert len(claim(conn, worker=worker)) == 1


def test_asking_again_changes_nothing(conn: Conn) -> None:
    worker = register(conn)
    asked = [
        answer(conn, "drain", worker=worker, on=on) for on in (False, True, True, False, False)
    ]
    assert asked == [False, True, False, True, False]


def test_worker_is_shown_as_draining_at_once(conn: Conn) -> None:
    worker = register(conn)
    answer(conn, "drain", worker=worker)
    assert shown(conn, worker) == "draining"
    answer(conn, "drain", worker=worker, on=False)
    assert shown(conn, worker) == "available"
    answer(conn, "drain", worker=worker)
    move_clock(conn, "1 hour")
    assert shown(conn, worker) == "offline"


def test_jobs_of_workers_that_drain_have_no_slots(conn: Conn) -> None:
    worker = register(conn)
    (job,) = insert(conn)
    answer(conn, "drain", worker=worker)
    reasons = {each["reason"]: each["detail"] for each in call(conn, "explain", id=job)}
    assert "draining" in reasons["no_slots"]


def test_heartbeats_do_not_wait_for_who_asked(conn: Conn, dsn: str) -> None:
    worker = register(conn)
    conn.execute("set lock_timeout = '1ms'")
    with connect(dsn, autocommit=False) as operator:
        answer(operator, "drain", worker=worker)
        assert not told(conn, worker)
        operator.commit()
    assert told(conn, worker)


def test_process_that_registers_anew_goes_on_draining(conn: Conn) -> None:
    token = uuid.uuid4()

    def enter() -> int:
        (made,) = call(conn, "register_worker", name="w", queues=["default"], slots=1, token=token)
        return int(made["worker"])

    first = enter()
    answer(conn, "drain", worker=first)
    lose(conn, first)
    second = enter()
    assert told(conn, second)
    assert answer(conn, "drain", worker=second, on=False)
    lose(conn, second)
    assert not told(conn, enter())


def test_new_process_does_not_drain(conn: Conn) -> None:
    gone = register(conn)
    answer(conn, "drain", worker=gone)
    lose(conn, gone)
    assert not told(conn, register(conn))


@pytest.mark.parametrize("on", [True, False])
def test_worker_that_is_not_there_is_refused(conn: Conn, on: bool) -> None:
    gone = register(conn)
    call(conn, "heartbeat", worker=gone, ids=[], tokens=[], state="offline")
    for worker in (gone, gone + 1, None):
        with refused("PQ009") as said:
            answer(conn, "drain", worker=worker, on=on)
        assert str(worker or "null") in said.message


def test_requests_go_with_their_workers(conn: Conn) -> None:
    stays, goes = register(conn), register(conn)
    for worker in (stays, goes):
        answer(conn, "drain", worker=worker)
    conn.execute("delete from pgq.worker where id = %s", [goes])
    repeat_sweep(conn, "trim")
    answer(conn, "prune")
    assert value(conn, "select worker from pgq.drain_request") == stays
