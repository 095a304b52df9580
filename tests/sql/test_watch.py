from __future__ import annotations

import pytest

from sql.states import STATES, job_in
from sql.support import (
    Conn,
    answer,
    call,
    claim,
    connect,
    floor,
    hold,
    insert,
    lose,
    refused,
    register,
    running,
    settle,
)

ENDED = {"succeeded", "cancelled", "dead"}


def watched(
    conn: Conn, ids: list[int | None] | None = None, queues: list[str] | None = None
) -> set[object]:
    found = call(conn, "watch", ids=ids, queues=queues)
    assert all((each["id"] is None) != (each["queue"] is None) for each in found)
    seen = [each["id"] or each["queue"] for each in found]
    assert len(set(seen)) == len(seen)
    return set(seen)


def test_job_is_told_when_it_has_ended(conn: Conn) -> None:
    jobs = {job_in(conn, wanted): wanted for wanted in STATES}
    assert watched(conn, list(jobs)) == {job for job, wanted in jobs.items() if wanted in ENDED}


def test_job_that_is_gone_is_told(conn: Conn) -> None:
    job = job_in(conn, "dead")
    call(conn, "purge", ids=[job])
    assert watched(conn, [job, 1, None]) == {job, 1}


def test_job_that_lost_its_state_is_waited_for(conn: Conn) -> None:
    """The audit brings it back."""
    (job,) = insert(conn)
    conn.execute("delete from pgq.ready")
    assert watched(conn, [job]) == set()


def test_each_is_told_once(conn: Conn) -> None:
    insert(conn, queue="a")
    assert watched(conn, [1, 1], ["a", "a"]) == {1, "a"}


def test_queue_is_told_while_it_has_something_to_claim(conn: Conn) -> None:
    queues = ["a", "b", "c", "unknown"]
    insert(conn, queue="a", priority=9)
    insert(conn, queue="b", run_at="2999-01-01")
    lease = running(conn, queue="c")
    assert watched(conn, None, queues) == {"a"}
    claim(conn, queues=["a"])
    call(conn, "release", ids=[lease["id"]], tokens=[lease["token"]])
    assert watched(conn, None, queues) == {"c"}


def test_suspects_can_be_claimed(conn: Conn) -> None:
    worker = register(conn)
    running(conn, worker=worker)
    assert watched(conn, None, ["default"]) == set()
    lose(conn, worker)
    assert watched(conn, None, ["default"]) == {"default"}


def test_jobs_of_ours_are_nothing_to_claim(conn: Conn) -> None:
    insert(conn, task="pgq.command")
    assert watched(conn, None, ["default"]) == set()


def test_paused_queue_has_nothing_to_claim(conn: Conn) -> None:
    insert(conn)
    answer(conn, "pause", queue="default")
    assert watched(conn, None, ["default"]) == set()
    answer(conn, "resume", queue="default")
    assert watched(conn, None, ["default"]) == {"default"}


def test_queue_is_looked_at_from_the_floor(conn: Conn, dsn: str) -> None:
    """As a claim would: what stands below comes up by upkeep."""
    insert(conn)
    call(conn, "complete", **hold(claim(conn)[0]))
    (job,) = insert(conn)
    settle(conn)
    assert floor(conn) > 0
    conn.execute("update pgq.ready set seq = 1 where job_id = %s", [job])
    assert claim(conn) == []
    assert watched(conn, None, ["default"]) == set()


def test_nothing_is_asked_for_nothing(conn: Conn) -> None:
    insert(conn)
    assert watched(conn) == set()
    assert watched(conn, [], []) == set()


def test_it_changes_nothing(conn: Conn, dsn: str) -> None:
    """A read-only session may watch."""
    insert(conn)
    with connect(dsn) as reader:
        reader.execute("set default_transaction_read_only = on")
        assert watched(reader, [1], ["default"]) == {1, "default"}


@pytest.mark.parametrize(
    ("ids", "queues"), [(list(range(10_001)), []), ([], ["q"] * 10_001)], ids=["ids", "queues"]
)
def test_too_many_are_refused(conn: Conn, ids: list[int], queues: list[str]) -> None:
    with refused("PQ005") as said:
        watched(conn, ids, queues)
    assert "10001 elements" in said.detail
