"""settle: floors move past what is gone, and past nobody's job."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import servers
from sql.support import (
    Conn,
    answer,
    claim,
    claim_one,
    column,
    connect,
    floor,
    insert,
    settle,
    value,
)


@pytest.fixture
def other(dsn: str) -> Iterator[Conn]:
    """A session whose transactions stay open."""
    with connect(dsn, autocommit=False) as session:
        yield session


def seq(conn: Conn, job: int) -> int:
    return int(value(conn, "select seq from pgq.ready where job_id = %s", [job]))


def last_seq(conn: Conn) -> int:
    return int(value(conn, "select last_value from pgq.ready_seq"))


def age_marks(conn: Conn) -> None:
    """Whoever holds the gate has held it for more than 2 s."""
    conn.execute("update pgq.mark set noted_at = noted_at - interval '1 minute'")


def stragglers(conn: Conn) -> int:
    return int(value(conn, "select count(*) from pgq.straggler where stream = 'ready'"))


def below_floor(conn: Conn) -> int:
    return int(
        value(
            conn,
            "select count(*) from pgq.ready r where r.seq <"
            " (select max(f.floor) from pgq.floor f where f.lane = r.lane)",
        )
    )


def test_floor_moves_past_what_was_claimed(conn: Conn) -> None:
    insert(conn, 10)
    claim(conn, limits=10)
    settle(conn)
    assert floor(conn) == last_seq(conn) + 1


def test_floor_is_the_lowest_row_that_stands(conn: Conn) -> None:
    jobs = insert(conn, 10)
    claim(conn, limits=4)
    settle(conn)
    assert floor(conn) == seq(conn, jobs[4])


def test_each_lane_has_its_own_floor(conn: Conn) -> None:
    (job,) = insert(conn, queue="a")
    insert(conn, queue="a", priority=1)
    insert(conn, queue="b")
    claim(conn, queues=["b"])
    claim(conn, queues=["a"])
    settle(conn)
    assert floor(conn, "a") == seq(conn, job)
    assert floor(conn, "a", 1) == floor(conn, "b") == last_seq(conn) + 1


def test_settle_says_whether_a_floor_moved(conn: Conn) -> None:
    insert(conn)
    answers = [answer(conn, "settle") for _ in range(3)]
    assert answers == [False, True, False]


def test_floor_does_not_pass_who_inserts_and_has_not_committed(conn: Conn, other: Conn) -> None:
    (hidden,) = insert(other)
    insert(conn, 5)
    claim(conn, limits=5)
    settle(conn)
    settle(conn)
    other.commit()
    assert floor(conn) <= seq(conn, hidden)
    settle(conn)
    assert [each["id"] for each in claim(conn)] == [hidden]


def test_floor_passes_an_insert_that_was_rolled_back(conn: Conn, other: Conn) -> None:
    insert(other)
    settle(conn)
    other.rollback()
    settle(conn)
    assert floor(conn, "default") in (0, last_seq(conn) + 1)
    insert(conn)
    claim(conn)
    settle(conn)
    assert floor(conn) == last_seq(conn) + 1


def test_insert_in_a_savepoint_is_not_passed(conn: Conn, other: Conn) -> None:
    other.execute("savepoint a")
    (hidden,) = insert(other)
    other.execute("release savepoint a")
    other.execute("savepoint b")
    insert(other)
    other.execute("rollback to savepoint b")
    insert(conn)
    claim(conn)
    settle(conn)
    other.commit()
    assert floor(conn) <= seq(conn, hidden)


def test_every_way_into_ready_is_waited_for(conn: Conn, other: Conn) -> None:
    """A release draws a seq as an insert does."""
    insert(conn)
    lease = claim_one(conn)
    other.execute(
        "select * from pgq.release(array[%s::bigint], array[%s::uuid])",
        [lease["id"], lease["token"]],
    )
    insert(conn)
    claim(conn)
    settle(conn)
    settle(conn)
    other.commit()
    assert floor(conn) <= seq(conn, lease["id"])


def test_who_claims_and_has_not_committed_is_not_waited_for(conn: Conn, other: Conn) -> None:
    insert(conn, 10)
    claim(other, limits=5)
    claim(conn, limits=5)
    settle(conn)
    assert floor(conn) == last_seq(conn) + 1


def test_who_only_reads_is_not_waited_for(conn: Conn, other: Conn) -> None:
    insert(conn, 5)
    other.execute("set transaction isolation level repeatable read")
    other.execute("select count(*) from pgq.ready")
    claim(conn, limits=5)
    settle(conn)
    assert floor(conn) == last_seq(conn) + 1


# Open claims ----------------------------------------------------------------------------------


def test_open_claim_holds_the_floor_for_a_moment(conn: Conn, other: Conn) -> None:
    jobs = insert(conn, 10)
    settle(conn)
    claim_one(other)
    claim(conn, limits=9)
    conn.execute("update pgq.floor set at = clock_timestamp() + interval '1 hour'")
    for _ in range(3):
        answer(conn, "settle")
    assert floor(conn) == seq(conn, jobs[0])


def test_open_claim_is_passed_after_a_moment(conn: Conn, other: Conn) -> None:
    jobs = insert(conn, 10)
    settle(conn)
    claim_one(other)
    claim(conn, limits=9)
    settle(conn)
    assert floor(conn) > seq(conn, jobs[0])
    assert column(conn, "select job_id from pgq.passed") == [jobs[0]]


def test_open_claim_that_is_undone_is_claimed_by_another(conn: Conn, other: Conn) -> None:
    jobs = insert(conn, 10)
    settle(conn)
    claim(other, limits=3)
    claim(conn, limits=7)
    settle(conn)
    other.rollback()
    settle(conn)
    assert [each["id"] for each in claim(conn, limits=10)] == jobs[:3]
    settle(conn)
    assert value(conn, "select count(*) from pgq.passed") == 0


def test_open_claim_that_is_committed_is_forgotten(conn: Conn, other: Conn) -> None:
    insert(conn, 10)
    settle(conn)
    claim(other, limits=3)
    settle(conn)
    assert value(conn, "select count(*) from pgq.passed") == 3
    other.commit()
    settle(conn)
    assert value(conn, "select count(*) from pgq.passed") == 0
    assert len(claim(conn, limits=10)) == 7


def test_row_that_stands_free_is_never_passed(conn: Conn, other: Conn) -> None:
    """One that was locked once and let go looks touched."""
    jobs = insert(conn, 3)
    claim(other)
    other.rollback()
    for _ in range(3):
        settle(conn)
    assert floor(conn) == seq(conn, jobs[0])
    assert value(conn, "select count(*) from pgq.passed") == 0


# Stragglers -----------------------------------------------------------------------------------


def test_floor_passes_who_inserts_and_stays_open(conn: Conn, other: Conn) -> None:
    (hidden,) = insert(other)
    insert(conn, 5)
    claim(conn, limits=5)
    settle(conn)
    age_marks(conn)
    settle(conn)
    assert stragglers(conn) == 1
    assert floor(conn) == last_seq(conn) + 1
    other.commit()
    assert below_floor(conn) == 1
    settle(conn)
    assert below_floor(conn) == 0
    assert [each["id"] for each in claim(conn)] == [hidden]
    assert stragglers(conn) == 0


def test_straggler_that_goes_on_inserting_loses_nothing(conn: Conn, other: Conn) -> None:
    hidden = insert(other, 3)
    insert(conn)
    claim(conn)
    for _ in range(4):
        settle(conn)
        age_marks(conn)
        settle(conn)
        hidden += insert(other, 3)
        hidden += insert(other, 2, queue="other")
        insert(conn, 3)
        claim(conn, limits=3)
    settle(conn)
    other.commit()
    settle(conn)
    found = claim(conn, queues=["default", "other"], limits=100)
    assert sorted(each["id"] for each in found) == sorted(hidden)


def test_straggler_that_is_rolled_back_leaves_nothing(conn: Conn, other: Conn) -> None:
    insert(other, 5)
    insert(conn)
    settle(conn)
    age_marks(conn)
    settle(conn)
    assert stragglers(conn) == 1
    other.rollback()
    settle(conn)
    assert stragglers(conn) == 0
    assert value(conn, "select count(*) from pgq.passed") == 0


def test_straggler_of_100_000_rows_gets_them_all_back(conn: Conn, other: Conn) -> None:
    insert(conn)
    insert(other, 50_000)
    settle(conn)
    age_marks(conn)
    settle(conn)
    insert(other, 50_000)
    claim(conn)
    insert(conn)
    claim(conn)
    settle(conn)
    other.commit()
    for _ in range(20):
        settle(conn)
        if stragglers(conn) == 0 and below_floor(conn) == 0:
            break
    assert below_floor(conn) == 0
    assert stragglers(conn) == 0
    assert value(conn, "select count(*) from pgq.ready") == 100_000


# Prepared transactions ------------------------------------------------------------------------


@pytest.fixture
def prepared(conn: Conn, other: Conn) -> int:
    """A job whose insert was prepared under the name `settle`."""
    if int(value(conn, "show max_prepared_transactions")) == 0:
        pytest.skip("this server allows no prepared transactions")
    (job,) = insert(other)
    name = value(conn, "select 'settle-' || current_database()")
    other.execute(f"prepare transaction '{name}'")
    other.rollback()
    return job


def finish(conn: Conn, how: str) -> None:
    name = value(conn, "select 'settle-' || current_database()")
    conn.execute(f"{how} prepared '{name}'")


def test_prepared_transaction_is_a_straggler_by_its_id(conn: Conn, prepared: int) -> None:
    settle(conn)
    assert value(
        conn,
        "select s.xid::text = (select transaction::text from pg_prepared_xacts"
        " where database = current_database()) and s.holder is null"
        " from pgq.straggler s where s.stream = 'ready'",
    )
    finish(conn, "rollback")


def test_prepared_transaction_does_not_hold_the_floor(conn: Conn, prepared: int) -> None:
    insert(conn, 5)
    claim(conn, limits=5)
    settle(conn)
    assert floor(conn) == last_seq(conn) + 1
    finish(conn, "rollback")


@pytest.mark.parametrize("straggled", [False, True])
def test_prepared_job_is_found_once_it_is_committed(
    conn: Conn, prepared: int, straggled: bool
) -> None:
    insert(conn, 5)
    claim(conn, limits=5)
    settle(conn)
    if straggled:
        age_marks(conn)
        settle(conn)
    finish(conn, "commit")
    settle(conn)
    assert [each["id"] for each in claim(conn)] == [prepared]
    assert stragglers(conn) == 0


def test_straggler_that_is_prepared_later_loses_nothing(conn: Conn, other: Conn) -> None:
    if int(value(conn, "show max_prepared_transactions")) == 0:
        pytest.skip("this server allows no prepared transactions")
    (job,) = insert(other)
    insert(conn, 5)
    claim(conn, limits=5)
    settle(conn)
    age_marks(conn)
    settle(conn)
    name = value(conn, "select 'settle-' || current_database()")
    other.execute(f"prepare transaction '{name}'")
    other.rollback()
    settle(conn)
    insert(conn)
    claim(conn)
    settle(conn)
    finish(conn, "commit")
    settle(conn)
    assert [each["id"] for each in claim(conn)] == [job]


# Where it does nothing ------------------------------------------------------------------------


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
def test_settle_does_nothing_in_another_isolation(conn: Conn, other: Conn, level: str) -> None:
    insert(conn, 5)
    claim(conn, limits=5)
    settle(conn)
    insert(conn, 5)
    claim(conn, limits=5)
    before = floor(conn), value(conn, "select max(id) from pgq.mark")
    other.execute(f"set transaction isolation level {level}")
    for _ in range(3):
        assert answer(other, "settle") is False
    other.commit()
    assert (floor(conn), value(conn, "select max(id) from pgq.mark")) == before


def test_gate_of_another_database_is_not_waited_for(conn: Conn, server: str, template: str) -> None:
    """Databases made from one template have the same object ids."""
    name = value(conn, "select current_database() || '_twin'")
    insert(conn, 5)
    with (
        servers.database(server, name, template=template) as twin,
        connect(twin, autocommit=False) as elsewhere,
    ):
        insert(elsewhere)
        claim(conn, limits=5)
        settle(conn)
        assert floor(conn) == last_seq(conn) + 1


def test_floors_of_600_lanes_all_move(conn: Conn) -> None:
    conn.execute(
        "insert into pgq.job (task, queue) select 'e', 'q' || i from generate_series(1, 600) i"
    )
    claim(conn, queues=[f"q{i}" for i in range(1, 601)])
    for _ in range(3):
        settle(conn)
    assert value(conn, "select count(distinct lane) from pgq.floor") == 600
