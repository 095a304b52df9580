from __future__ import annotations

import pytest

from sql.support import Conn, answer, call, connect, in_background, insert, refused, wait_for_lock


def begin(conn: Conn) -> int:
    return int(answer(conn, "start_operation", verb="cancel", queue="default"))


def test_it_says_whether_it_changed_anything(conn: Conn) -> None:
    operation = begin(conn)
    assert answer(conn, "stop_operation", id=operation) is True
    assert answer(conn, "stop_operation", id=operation) is False
    (found,) = call(conn, "get_operation", id=operation)
    assert found["state"] == "stopped"
    assert found["finished_at"] is not None


def test_one_that_is_done_stays_done(conn: Conn) -> None:
    operation = begin(conn)
    answer(conn, "operate")
    assert answer(conn, "stop_operation", id=operation) is False
    assert call(conn, "get_operation", id=operation)[0]["state"] == "done"


def test_slice_that_is_under_way_counts(conn: Conn, dsn: str) -> None:
    insert(conn, 3)
    operation = begin(conn)
    with connect(dsn, autocommit=False) as upkeep, connect(dsn) as operator:
        answer(upkeep, "operate", limit=2)
        with in_background(lambda: answer(operator, "stop_operation", id=operation)) as stopped:
            wait_for_lock(conn, operator)
            upkeep.commit()
            assert stopped.result() is True
    (found,) = call(conn, "get_operation", id=operation)
    assert (found["state"], found["done"]) == ("stopped", 2)
    assert answer(conn, "operate") == 0


def test_who_stays_at_work_on_it_is_not_waited_for_for_long(conn: Conn, dsn: str) -> None:
    operation = begin(conn)
    conn.execute("alter function pgq.stop_operation set lock_timeout = '1ms'")
    with connect(dsn, autocommit=False) as upkeep:
        answer(upkeep, "operate")
        with refused("PQ007") as said:
            answer(conn, "stop_operation", id=operation)
    assert str(operation) in said.message


@pytest.mark.parametrize("verb", ["stop_operation", "get_operation"])
@pytest.mark.parametrize("unknown", [12345, None])
def test_unknown_operation_is_refused(conn: Conn, verb: str, unknown: int | None) -> None:
    with refused("PQ009"):
        call(conn, verb, id=unknown)
