from __future__ import annotations

import pytest

from sql.states import job_in
from sql.support import Conn, answer, call, refused, repeat_sweep


def test_newest_come_first_up_to_the_limit(conn: Conn) -> None:
    operations = [
        answer(conn, "start_operation", verb="cancel", queue=queue) for queue in ("a", "b", "c")
    ]
    assert [each["id"] for each in call(conn, "list_operations")] == operations[::-1]
    assert [each["id"] for each in call(conn, "list_operations", limit=1)] == operations[2:]


def test_it_tells_what_get_operation_tells(conn: Conn) -> None:
    job = job_in(conn, "dead")
    operation = answer(
        conn,
        "start_operation",
        verb="retry",
        ids=[job, 17],
        task="echo",
        payload='{"secret": 1}',
        limit=3,
        rate=2.5,
        by="ann",
    )
    (listed,) = call(conn, "list_operations")
    assert call(conn, "get_operation", id=operation) == [listed]
    assert listed["filter"] == {"task": "echo", "ids": 2}
    assert (listed["has_payload"], listed["rate"], listed["most"]) == (True, 2.5, 3)
    assert "secret" not in str(listed)


def test_ended_ones_are_kept_for_30_days(conn: Conn) -> None:
    ended = answer(conn, "start_operation", verb="cancel", queue="a")
    answer(conn, "operate")
    running = answer(conn, "start_operation", verb="cancel", queue="b", rate=0.001)
    conn.execute("update pgq.operation set started_at = now() - interval '60 days'")
    for age, kept in (("29 days", [running, ended]), ("31 days", [running])):
        conn.execute(
            "update pgq.operation set finished_at = now() - %s::interval where id = %s",
            [age, ended],
        )
        answer(conn, "prune")
        repeat_sweep(conn, "trim")
        answer(conn, "prune")
        assert [each["id"] for each in call(conn, "list_operations")] == kept


@pytest.mark.parametrize("limit", [0, 1001, None])
def test_bad_limit_is_refused(conn: Conn, limit: int | None) -> None:
    with refused("PQ005"):
        call(conn, "list_operations", limit=limit)
