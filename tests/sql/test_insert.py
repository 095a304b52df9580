"""INSERT into pgq.job: the public contract of producers."""

from __future__ import annotations

from typing import Any

import pytest

from sql.support import (
    Conn,
    answer,
    call,
    claim,
    column,
    connect,
    insert,
    refused,
    row,
    state,
    value,
)


def test_bare_insert_is_ready_to_run(conn: Conn) -> None:
    conn.execute("insert into pgq.job (task) values ('echo')")
    (lease,) = claim(conn)
    assert lease["task"] == "echo"
    assert lease["payload"] == {}
    assert lease["queue"] == "default"
    assert lease["priority"] == 5
    assert lease["attempt"] == 1


def test_100_000_rows_of_one_insert_are_all_ready(conn: Conn) -> None:
    conn.execute(
        "insert into pgq.job (task, queue, priority) "
        "select 'echo', 'q' || i % 3, i % 10 from generate_series(1, 100000) i"
    )
    assert value(conn, "select count(distinct job_id) from pgq.ready") == 100_000
    assert value(conn, "select count(*) from pgq.lane") == 30
    assert value(conn, "select count(*) from pgq.tally") == 30


def test_copied_rows_are_all_ready(conn: Conn) -> None:
    with conn.cursor().copy("copy pgq.job (task, queue, payload) from stdin") as copy:
        for i in range(1000):
            copy.write_row(("echo", "copied", f'{{"i": {i}}}'))
    leases = claim(conn, queues=["copied"], limits=1000)
    assert [each["payload"] for each in leases] == [{"i": i} for i in range(1000)]


def test_insert_of_a_taken_unique_key_inserts_no_row(conn: Conn) -> None:
    insert(conn, unique_key="k")
    assert insert(conn, unique_key="k") == []
    assert value(conn, "select count(*) from pgq.job") == 1
    assert value(conn, "select count(*) from pgq.ready") == 1


def test_unique_key_is_of_its_queue(conn: Conn) -> None:
    insert(conn, unique_key="k")
    assert len(insert(conn, unique_key="k", queue="other")) == 1


def test_one_statement_takes_a_unique_key_once(conn: Conn) -> None:
    assert len(insert(conn, 5, unique_key="k")) == 1
    assert value(conn, "select count(*) from pgq.ready") == 1


def test_statement_keeps_the_rows_whose_keys_are_free(conn: Conn) -> None:
    insert(conn, unique_key="2")
    conn.execute(
        "insert into pgq.job (task, unique_key) select 'echo', i::text from generate_series(1, 3) i"
    )
    assert column(conn, "select unique_key from pgq.job order by unique_key") == ["1", "2", "3"]
    assert value(conn, "select count(*) from pgq.ready") == 3


def test_rolled_back_insert_leaves_nothing_to_run(conn: Conn, dsn: str) -> None:
    with connect(dsn, autocommit=False) as producer:
        insert(producer, unique_key="k")
        producer.rollback()
    assert claim(conn) == []
    assert value(conn, "select count(*) from pgq.unique_key") == 0
    assert len(insert(conn, unique_key="k")) == 1


def test_run_at_in_the_future_makes_it_scheduled(conn: Conn) -> None:
    (job,) = insert(conn, run_at="2999-01-01")
    assert state(conn, job) == "scheduled"
    assert claim(conn) == []


def test_run_at_in_the_past_makes_it_ready(conn: Conn) -> None:
    (job,) = insert(conn, run_at="1999-01-01")
    assert state(conn, job) == "ready"


def test_job_that_comes_due_in_a_long_transaction_is_ready(conn: Conn, dsn: str) -> None:
    with connect(dsn, autocommit=False) as producer:
        producer.execute("select now()")
        # Later than the transaction's now(), and past.
        (job,) = insert(producer, run_at=str(value(conn, "select clock_timestamp()")))
        producer.commit()
    assert state(conn, job) == "ready"


def test_columns_left_null_are_the_queues_to_say(conn: Conn) -> None:
    call(conn, "configure_queue", queue="default", max_attempts=9, timeout="7 seconds")
    insert(conn, max_attempts=None, timeout=None, backoff_base=None, backoff_max=None)
    (lease,) = claim(conn)
    assert lease["max_attempts"] == 9
    assert lease["timeout"].total_seconds() == 7


@pytest.mark.parametrize(
    "payload", ["null", "[1, 2]", '"text"', "1e131071", '{"a":  1, "a": 2}', "[" * 900 + "]" * 900]
)
def test_payload_is_kept_as_sent(conn: Conn, payload: str) -> None:
    insert(conn, payload=payload)
    claimed = value(
        conn,
        "select c.payload::text from pgq.claim(p_worker => 0, p_executor => 0, "
        "p_token => gen_random_uuid(), p_queues => '{default}', p_limits => '{1}') c",
    )
    assert claimed == payload


def test_names_of_200_characters_are_taken(conn: Conn) -> None:
    name = "é" * 200
    insert(conn, task=name, queue=name, unique_key=name, tags=[name])
    (lease,) = claim(conn, queues=[name])
    assert (lease["task"], lease["queue"]) == (name, name)


def test_ends_of_each_range_are_taken(conn: Conn) -> None:
    conn.execute(
        "insert into pgq.job (task, priority, max_attempts, timeout, backoff_base, backoff_max,"
        " tags, headers) values "
        "('a', 0, 1, '1 microsecond', '0', '0', '{}', '{}'),"
        "('a', 9, 32767, '100 years', '100 years', '100 years', array_fill('t'::text, '{100}'),"
        " null)"
    )
    assert value(conn, "select count(*) from pgq.ready") == 2


BAD: list[tuple[str, dict[str, Any]]] = [
    ("task", {"task": None}),
    ("task", {"task": ""}),
    ("task", {"task": "t" * 201}),
    ("queue", {"queue": None}),
    ("queue", {"queue": ""}),
    ("queue", {"queue": "q" * 201}),
    ("priority", {"priority": None}),
    ("priority", {"priority": -1}),
    ("priority", {"priority": 10}),
    ("payload", {"payload": None}),
    ("payload", {"payload": '"' + "x" * 1_048_576 + '"'}),
    ("run_at", {"run_at": "infinity"}),
    ("run_at", {"run_at": "-infinity"}),
    ("max_attempts", {"max_attempts": 0}),
    ("max_attempts", {"max_attempts": -1}),
    ("max_attempts", {"max_attempts": 32768}),
    ("timeout", {"timeout": "0"}),
    ("timeout", {"timeout": "-1 second"}),
    ("backoff_base", {"backoff_base": "-1 second"}),
    ("backoff_max", {"backoff_max": "-1 second"}),
    ("unique_key", {"unique_key": ""}),
    ("unique_key", {"unique_key": "k" * 201}),
    ("tags", {"tags": [""]}),
    ("tags", {"tags": [None]}),
    ("tags", {"tags": ["t" * 201]}),
    ("tags", {"tags": ["t"] * 101}),
    ("headers", {"headers": "[]"}),
    ("headers", {"headers": '"h"'}),
]


@pytest.mark.parametrize(
    ("name", "columns"), BAD, ids=[f"{name}-{i}" for i, (name, _) in enumerate(BAD)]
)
def test_bad_value_is_refused_by_name(conn: Conn, name: str, columns: dict[str, Any]) -> None:
    with refused("PQ005") as said:
        insert(conn, **columns)
    assert name in said.message
    assert said.detail.startswith(f"{name} is ")
    assert "expected" in said.detail
    assert said.hint


@pytest.mark.parametrize(
    ("name", "columns"), BAD, ids=[f"{name}-{i}" for i, (name, _) in enumerate(BAD)]
)
def test_statement_of_many_refuses_the_same_value(
    conn: Conn, name: str, columns: dict[str, Any]
) -> None:
    with refused("PQ005") as said:
        insert(conn, 2, **columns)
    assert said.detail.startswith(f"{name} is ")


@pytest.mark.parametrize(
    ("name", "columns"), BAD, ids=[f"{name}-{i}" for i, (name, _) in enumerate(BAD)]
)
def test_enqueue_refuses_the_same_value(conn: Conn, name: str, columns: dict[str, Any]) -> None:
    with refused("PQ005") as said:
        call(conn, "enqueue", **({"task": "echo"} | columns))
    assert said.detail.startswith(f"{name} is ")


def test_one_bad_row_refuses_its_whole_statement(conn: Conn) -> None:
    with refused("PQ005"):
        conn.execute(
            "insert into pgq.job (task, priority, queue, unique_key) "
            "select 'echo', case i when 500 then 11 else 1 end, 'q' || i % 7, i::text "
            "from generate_series(1, 1000) i"
        )
    kept = row(
        conn,
        "select (select count(*) from pgq.job) as job, (select count(*) from pgq.ready) as ready,"
        " (select count(*) from pgq.unique_key) as keys, (select count(*) from pgq.tally) as tally,"
        " (select count(*) from pgq.lane) as lane",
    )
    assert set(kept.values()) == {0}


def test_bad_row_refuses_a_whole_copy(conn: Conn) -> None:
    with refused("PQ005"), conn.cursor().copy("copy pgq.job (task, priority) from stdin") as copy:
        copy.write_row(("echo", 5))
        copy.write_row(("echo", 10))
    assert value(conn, "select count(*) from pgq.job") == 0


def test_bad_value_is_refused_where_the_key_is_taken_too(conn: Conn) -> None:
    with refused("PQ005"):
        insert(conn, unique_key="k", priority=10)
    assert value(conn, "select count(*) from pgq.unique_key") == 0


def test_payload_limit_is_the_queues(conn: Conn) -> None:
    call(conn, "configure_queue", queue="small", payload_limit=10)
    call(conn, "configure_queue", queue="large", payload_limit=3_000_000)
    insert(conn, queue="small", payload='"12345678"')
    with refused("PQ005") as said:
        insert(conn, queue="small", payload='"123456789"')
    assert "11 bytes" in said.detail
    assert "10 bytes in queue 'small'" in said.detail
    insert(conn, queue="large", payload='"' + "x" * 2_000_000 + '"')


def test_payload_limit_counts_bytes(conn: Conn) -> None:
    call(conn, "configure_queue", queue="default", payload_limit=10)
    with refused("PQ005"):
        insert(conn, payload='"ééééé"')


def test_enqueueing_writes_no_settings(conn: Conn) -> None:
    insert(conn, queue="new")
    assert value(conn, "select count(*) from pgq.queue") == 0


def test_insert_counts_what_it_made(conn: Conn) -> None:
    insert(conn, 3)
    insert(conn, 2, run_at="2999-01-01")
    answer(conn, "fold")
    counted = conn.execute("select label, n from pgq.counter where metric = 'transition'")
    assert dict(counted.fetchall()) == {">ready": 3, ">scheduled": 2}


def test_id_names_the_day(conn: Conn) -> None:
    (job,) = insert(conn)
    assert job >> 32 == value(conn, "select extract(epoch from now())::bigint / 86400")
    assert job < 2**53


def test_ids_are_inserted_in_any_order(conn: Conn) -> None:
    """A client may draw its id first; another overtakes it."""
    first = value(conn, "select nextval('pgq.job_id_seq')")
    (second,) = insert(conn)
    conn.execute("insert into pgq.job (id, task) values (%s, 'echo')", [first])
    assert [each["id"] for each in claim(conn, limits=2)] == [second, first]


@pytest.mark.parametrize("table", ["ready", "lease"])
def test_truncate_of_a_state_table_is_refused(conn: Conn, table: str) -> None:
    (job,) = insert(conn)
    with refused("PQ003") as said:
        conn.execute(f"truncate pgq.{table}")
    assert said.hint
    assert state(conn, job) == "ready"


def test_two_queues_with_the_same_lane_number_are_refused(conn: Conn) -> None:
    conn.execute(
        "insert into pgq.lane (lane, queue, priority, suspect, reserved)"
        " values (pgq._lane('b', 5), 'a', 5, false, false)"
    )
    with refused("PQ005") as said:
        insert(conn, queue="b")
    assert said.hint
