"""operate: verbs for many jobs, a slice at a time, so that each job is moved once."""

from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest

from sql.states import (
    STATES,
    assert_counters_are_right,
    crashed,
    depths,
    holder,
    job_in,
    seq,
)
from sql.support import (
    Conn,
    Row,
    answer,
    call,
    claim_one,
    connect,
    in_background,
    insert,
    register,
    running,
    state,
    value,
    wait_until,
)

BECOMES = {
    "cancel": {"scheduled": "cancelled", "ready": "cancelled", "retrying": "cancelled"},
    "retry": {"dead": "ready", "cancelled": "ready"},
    "run_now": {"scheduled": "ready", "retrying": "ready"},
    "purge": {"dead": None},
}
TAKES = {"cancel": "ready", "retry": "dead", "run_now": "scheduled", "purge": "dead"}

verbs = pytest.mark.parametrize("verb", BECOMES)


def begin(conn: Conn, verb: str, **arguments: Any) -> int:
    """Id of a new operation, on all that there is unless something is said."""
    return int(
        answer(
            conn,
            "start_operation",
            verb=verb,
            **(arguments if _filters(arguments) else {"created_after": "-infinity", **arguments}),
        )
    )


def _filters(arguments: dict[str, Any]) -> set[str]:
    return set(arguments) - {"payload", "limit", "rate", "by", "queues"}


def told(conn: Conn, operation: int) -> Row:
    (found,) = call(conn, "get_operation", id=operation)
    return found


def counts(conn: Conn, operation: int) -> tuple[str, int, int, int]:
    found = told(conn, operation)
    return found["state"], found["found"], found["done"], found["skipped"]


def dead(conn: Conn, count: int = 1, **columns: Any) -> list[int]:
    return [job_in(conn, "dead", **columns) for _ in range(count)]


def dead_with(conn: Conn, payload: str) -> int:
    """Id of a dead letter with a payload that no driver has to decode before."""
    (job,) = dead(conn)
    conn.execute("update pgq.job set payload = %s::json where id = %s", [payload, job])
    return job


def states(conn: Conn, jobs: list[int]) -> list[str | None]:
    return [state(conn, job) for job in jobs]


def next_round(conn: Conn) -> None:
    """What was busy is due again."""
    conn.execute("update pgq.operation set round_at = round_at - interval '2 seconds'")


def earlier(conn: Conn, interval: str) -> None:
    """The last slice was so long ago."""
    conn.execute("update pgq.operation set credit_at = credit_at - %s::interval", [interval])


# What is moved ----------------------------------------------------------------------------------


@verbs
@pytest.mark.parametrize("wanted", STATES)
def test_jobs_in_the_states_of_the_verb_are_moved(conn: Conn, verb: str, wanted: str) -> None:
    job = job_in(conn, wanted)
    operation = begin(conn, verb)
    moves = wanted in BECOMES[verb] or (verb, wanted) == ("cancel", "running")
    assert answer(conn, "operate") == moves
    assert state(conn, job) == BECOMES[verb].get(wanted, wanted)
    assert counts(conn, operation) == ("done", moves, moves, 0)
    assert_counters_are_right(conn)


@verbs
@pytest.mark.parametrize(
    "condition",
    [
        {"queue": "q"},
        {"task": "t"},
        {"tag": "a"},
        {"path": ["n"], "value": "1.10"},
        {"queue": "q", "queues": ["q", "other"]},
        {"created_after": "2000-01-01", "task": "t"},
        {"state": True, "queue": "q"},
        {"ids": True},
    ],
)
def test_only_jobs_that_pass_the_filter(conn: Conn, verb: str, condition: dict[str, Any]) -> None:
    of = TAKES[verb]
    columns = {"queue": "q", "task": "t", "tags": ["a"], "payload": '{"n": 1.10}'}
    jobs = [job_in(conn, of, **columns) for _ in range(2)]
    others = [job_in(conn, of, queue="other") for _ in range(2)]
    given = {
        **condition,
        **({"state": of} if "state" in condition else {}),
        **({"ids": jobs} if "ids" in condition else {}),
    }
    operation = begin(conn, verb, **given)
    answer(conn, "operate")
    assert states(conn, jobs) == [BECOMES[verb][of]] * 2
    assert states(conn, others) == [of] * 2
    assert counts(conn, operation) == ("done", 2, 2, 0)


def test_selection_is_kept_to_the_queues_that_are_allowed(conn: Conn) -> None:
    mine, other = dead(conn, queue="mine"), dead(conn, queue="other")
    begin(conn, "retry", ids=mine + other, queues=["mine"])
    answer(conn, "operate")
    assert states(conn, mine + other) == ["ready", "dead"]


def test_only_this_kind_of_error(conn: Conn) -> None:
    wanted, other = dead(conn, task="a"), dead(conn, task="b")
    fingerprint = value(conn, "select fingerprint from pgq.dead where job_id = %s", wanted)
    begin(conn, "retry", fingerprint=fingerprint)
    answer(conn, "operate")
    assert states(conn, wanted + other) == ["ready", "dead"]


def test_only_jobs_of_this_worker(conn: Conn) -> None:
    worker = register(conn)
    mine = running(conn, worker=worker)["id"]
    running(conn)
    begin(conn, "cancel", worker=worker)
    answer(conn, "operate")
    assert value(conn, "select array_agg(job_id) from pgq.cancel_request") == [mine]


def test_jobs_that_are_new_since_the_start_are_no_part_of_it(conn: Conn) -> None:
    old = insert(conn, 2)
    operation = begin(conn, "cancel", state="ready")
    new = insert(conn, 2)
    for _ in range(2):
        answer(conn, "operate")
    assert states(conn, old + new) == ["cancelled"] * 2 + ["ready"] * 2
    assert counts(conn, operation) == ("done", 2, 2, 0)


def test_job_that_fails_again_is_retried_once(conn: Conn) -> None:
    jobs = dead(conn, 3)
    operation = begin(conn, "retry")
    answer(conn, "operate", limit=1)
    lease = claim_one(conn)
    call(conn, "fail", id=lease["id"], token=lease["token"], permanent=True)
    answer(conn, "operate")
    assert states(conn, jobs) == ["dead", "ready", "ready"]
    assert counts(conn, operation) == ("done", 3, 3, 0)


def test_worker_hears_that_its_jobs_are_to_be_cancelled(conn: Conn, dsn: str) -> None:
    worker = register(conn)
    lease = running(conn, worker=worker)
    with connect(dsn) as listener:
        listener.execute(f"listen pgq_{worker}_1")
        begin(conn, "cancel")
        answer(conn, "operate")
        (heard,) = listener.notifies(timeout=10, stop_after=1)
    assert heard.payload == f"c {lease['id']} {lease['token']}"
    assert state(conn, lease["id"]) == "running"


def test_cancelling_twice_asks_once(conn: Conn) -> None:
    lease = running(conn)
    answer(conn, "cancel", id=lease["id"])
    begin(conn, "cancel")
    answer(conn, "operate")
    assert value(conn, "select count(*) from pgq.cancel_request") == 1


def test_cancelled_jobs_free_their_keys(conn: Conn) -> None:
    (job,) = insert(conn, unique_key="k")
    begin(conn, "cancel")
    answer(conn, "operate")
    assert (state(conn, job), holder(conn, "k")) == ("cancelled", None)


def test_job_that_began_is_left_when_only_waiting_ones_are_wanted(conn: Conn) -> None:
    """It is claimed between the look and the lock."""
    job = running(conn)["id"]
    conn.execute("select pgq._cancel_jobs(%s, '{ready}')", [[job]])
    assert value(conn, "select count(*) from pgq.cancel_request") == 0
    conn.execute("select pgq._cancel_jobs(%s, '{running}')", [[job]])
    assert value(conn, "select count(*) from pgq.cancel_request") == 1


def test_run_now_lets_a_later_retry_not_wait_either(conn: Conn) -> None:
    (job,) = insert(conn, run_at="2999-01-01")
    begin(conn, "run_now")
    answer(conn, "operate")
    assert value(conn, "select run_at <= now() from pgq.job where id = %s", [job])


def test_nothing_is_left_of_purged_jobs(conn: Conn) -> None:
    dead(conn, 2)
    begin(conn, "purge")
    answer(conn, "operate")
    for table in ("job", "dead", "attempt", "log"):
        assert value(conn, f"select count(*) from pgq.{table}") == 0


def test_retried_jobs_start_anew(conn: Conn) -> None:
    suspect = crashed(conn)
    (late,) = dead(conn)
    conn.execute("update pgq.job set run_at = '2999-01-01' where id = %s", [late])
    begin(conn, "retry")
    answer(conn, "operate")
    lease = claim_one(conn)
    assert (lease["id"], lease["suspect"], lease["attempt"]) == (suspect, True, 1)
    assert state(conn, late) == "scheduled"


# Payloads ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "changes", "after"),
    [
        ('{"a": 1.10, "b": 2}', '{"b": 3.00}', '{"a":1.10,"b":3.00}'),
        ('{"a": {"x": [1,  2]}}', '{"c": null}', '{"a":{"x": [1,  2]},"c":null}'),
        ("{}", '{"a": 1e131071}', '{"a":1e131071}'),
        ('{"a": 1e131071}', "{}", '{"a":1e131071}'),
        ('{"a": 1}', '{"a": 2, "a": 3}', '{"a":3}'),
        (r'{"\u00e4\"": 1, "b": 1}', r'{"ä\"": 2}', r'{"ä\"":2,"b":1}'),
        ('{"n": ' + "7" * 5000 + "}", "{}", '{"n":' + "7" * 5000 + "}"),
    ],
)
def test_keys_of_the_payload_replace_those_of_each_job(
    conn: Conn, before: str, changes: str, after: str
) -> None:
    job = dead_with(conn, before)
    operation = begin(conn, "retry", payload=changes)
    answer(conn, "operate")
    assert value(conn, "select payload::text from pgq.job where id = %s", [job]) == after
    assert state(conn, job) == "ready"
    assert told(conn, operation)["has_payload"]


@pytest.mark.parametrize(
    "odd",
    ["[1]", "1", "null", '"a"', r'{"a": "\u0000"}', r'{"a": "\ud83d"}', "[" * 5000 + "]" * 5000],
)
def test_payload_that_cannot_be_changed_leaves_its_job_dead(conn: Conn, odd: str) -> None:
    job = dead_with(conn, odd)
    (plain,) = dead(conn)
    operation = begin(conn, "retry", payload='{"b": 1}')
    answer(conn, "operate")
    assert states(conn, [job, plain]) == ["dead", "ready"]
    assert value(conn, "select payload::text from pgq.job where id = %s", [job]) == odd
    assert counts(conn, operation) == ("done", 2, 1, 1)


def test_payload_that_grows_over_the_limit_leaves_its_job_dead(conn: Conn) -> None:
    (large,) = dead(conn, payload=json.dumps({"a": "x" * 100}))
    (small,) = dead(conn)
    call(conn, "configure_queue", queue="default", payload_limit=110)
    operation = begin(conn, "retry", payload='{"b": "1234567890"}')
    answer(conn, "operate")
    assert states(conn, [large, small]) == ["dead", "ready"]
    assert counts(conn, operation) == ("done", 2, 1, 1)


# Unique keys ------------------------------------------------------------------------------------


def test_job_whose_key_is_taken_is_skipped(conn: Conn) -> None:
    (taken,) = dead(conn, unique_key="k")
    (free,) = dead(conn, unique_key="other")
    (rival,) = insert(conn, unique_key="k")
    operation = begin(conn, "retry")
    answer(conn, "operate")
    assert states(conn, [taken, free]) == ["dead", "ready"]
    assert (holder(conn, "k"), holder(conn, "other")) == (rival, free)
    assert counts(conn, operation) == ("done", 2, 1, 1)


def test_of_two_that_want_one_key_the_older_gets_it(conn: Conn) -> None:
    jobs = dead(conn, 2, unique_key="k")
    operation = begin(conn, "retry")
    answer(conn, "operate")
    assert states(conn, jobs) == ["ready", "dead"]
    assert holder(conn, "k") == jobs[0]
    assert counts(conn, operation) == ("done", 2, 1, 1)


@pytest.mark.parametrize("commits", [True, False])
def test_key_that_a_producer_is_at_is_asked_for_again(conn: Conn, dsn: str, commits: bool) -> None:
    (keyed,) = dead(conn, unique_key="k")
    (free,) = dead(conn)
    operation = begin(conn, "retry")
    with connect(dsn, autocommit=False) as producer:
        insert(producer, unique_key="k")
        assert answer(conn, "operate") == 2
        assert states(conn, [keyed, free]) == ["dead", "ready"]
        assert counts(conn, operation) == ("running", 2, 1, 0)
        producer.commit() if commits else producer.rollback()
    next_round(conn)
    answer(conn, "operate")
    assert state(conn, keyed) == ("dead" if commits else "ready")
    assert counts(conn, operation) == ("done", 2, 1 + (not commits), int(commits))


def test_keys_that_many_producers_are_at_do_not_make_a_slice_long(conn: Conn, dsn: str) -> None:
    jobs = [dead(conn, unique_key=f"k{n}")[0] for n in range(40)]
    operation = begin(conn, "retry")
    with connect(dsn, autocommit=False) as producer:
        for n in range(40):
            insert(producer, unique_key=f"k{n}")
        met = answer(conn, "operate")
        assert 0 < met < 40
        assert counts(conn, operation) == ("running", met, 0, 0)
        producer.rollback()
    while told(conn, operation)["state"] == "running":
        next_round(conn)
        answer(conn, "operate")
    assert states(conn, jobs) == ["ready"] * 40
    assert counts(conn, operation) == ("done", 40, 40, 0)


# Jobs that somebody else is moving ---------------------------------------------------------------


@verbs
@pytest.mark.parametrize("commits", [True, False])
def test_job_that_somebody_is_moving_is_tried_again(
    conn: Conn, dsn: str, verb: str, commits: bool
) -> None:
    of = TAKES[verb]
    busy, free = (job_in(conn, of) for _ in range(2))
    operation = begin(conn, verb, state=of)
    with connect(dsn, autocommit=False) as other:
        mover = {"ready": "cancel", "dead": "retry", "scheduled": "cancel"}[of]
        answer(other, mover, id=busy)
        conn.execute("set lock_timeout = '1ms'")
        assert answer(conn, "operate") == 2
        assert states(conn, [busy, free]) == [of, BECOMES[verb][of]]
        assert counts(conn, operation) == ("running", 2, 1, 0)
        assert answer(conn, "operate") == 0
        next_round(conn)
        assert answer(conn, "operate") == 1
        assert counts(conn, operation) == ("running", 2, 1, 0)
        other.commit() if commits else other.rollback()
    next_round(conn)
    answer(conn, "operate")
    assert counts(conn, operation) == ("done", 2, 1 + (not commits), int(commits))
    assert_counters_are_right(conn)


def test_job_that_stays_busy_is_skipped_in_the_end(conn: Conn, dsn: str) -> None:
    busy, free = dead(conn, 2)
    operation = begin(conn, "retry")
    with connect(dsn, autocommit=False) as other:
        other.execute("select from pgq.dead where job_id = %s for update", [busy])
        for _ in range(11):
            assert told(conn, operation)["state"] == "running"
            answer(conn, "operate")
            next_round(conn)
        answer(conn, "operate")
    assert states(conn, [busy, free]) == ["dead", "ready"]
    assert counts(conn, operation) == ("done", 2, 1, 1)


def test_round_of_busy_jobs_goes_by_slices_as_well(conn: Conn, dsn: str) -> None:
    jobs = dead(conn, 5)
    operation = begin(conn, "retry")
    with connect(dsn, autocommit=False) as other:
        other.execute("select from pgq.dead for update")
        assert answer(conn, "operate") == 5
    next_round(conn)
    assert [answer(conn, "operate", limit=2) for _ in range(3)] == [2, 2, 1]
    assert states(conn, jobs) == ["ready"] * 5
    assert counts(conn, operation) == ("done", 5, 5, 0)


# Slices -----------------------------------------------------------------------------------------


@verbs
def test_slices_go_from_the_oldest_on(conn: Conn, verb: str) -> None:
    of = TAKES[verb]
    jobs = [job_in(conn, of) for _ in range(5)]
    operation = begin(conn, verb, state=of)
    after = BECOMES[verb][of]
    for moved in (2, 4):
        assert answer(conn, "operate", limit=2) == 2
        assert states(conn, jobs) == [after] * moved + [of] * (5 - moved)
        assert counts(conn, operation) == ("running", moved, moved, 0)
    answer(conn, "operate", limit=2)
    assert counts(conn, operation) == ("done", 5, 5, 0)
    assert told(conn, operation)["finished_at"] is not None
    assert_counters_are_right(conn)


def test_retried_jobs_keep_their_order(conn: Conn) -> None:
    jobs = dead(conn, 4)
    begin(conn, "retry")
    for _ in range(2):
        answer(conn, "operate", limit=2)
    places = [seq(conn, job) for job in jobs]
    assert places == sorted(places)


@verbs
def test_slice_that_is_undone_was_never_there(conn: Conn, dsn: str, verb: str) -> None:
    of = TAKES[verb]
    jobs = [job_in(conn, of) for _ in range(3)]
    operation = begin(conn, verb, state=of)
    before = depths(conn)
    with connect(dsn, autocommit=False) as other:
        assert answer(other, "operate", limit=2) == 2
        other.rollback()
    assert states(conn, jobs) == [of] * 3
    assert counts(conn, operation) == ("running", 0, 0, 0)
    assert depths(conn) == before
    answer(conn, "operate")
    assert counts(conn, operation) == ("done", 3, 3, 0)
    assert_counters_are_right(conn)


def test_crash_in_the_middle_loses_and_doubles_nothing(conn: Conn, dsn: str) -> None:
    jobs = dead(conn, 6)
    operation = begin(conn, "retry")
    answer(conn, "operate", limit=2)
    conn.execute(
        "create function wait() returns trigger language plpgsql as"
        " $$ begin perform pg_sleep(60); return null; end $$;"
        " create trigger wait after update on pgq.operation execute function wait()"
    )
    with connect(dsn) as victim:
        pid = victim.info.backend_pid

        def run() -> None:
            with pytest.raises(psycopg.OperationalError):
                answer(victim, "operate", limit=2)

        with in_background(run) as ended:
            asleep = "select 1 from pg_stat_activity where pid = %s and wait_event = 'PgSleep'"
            wait_until(lambda: conn.execute(asleep, [pid]).fetchone(), "it is in the middle")
            conn.execute("select pg_terminate_backend(%s)", [pid])
            ended.result()
    conn.execute("drop trigger wait on pgq.operation")
    assert states(conn, jobs) == ["ready"] * 2 + ["dead"] * 4
    assert counts(conn, operation) == ("running", 2, 2, 0)
    answer(conn, "operate")
    assert states(conn, jobs) == ["ready"] * 6
    assert counts(conn, operation) == ("done", 6, 6, 0)
    assert_counters_are_right(conn)


def test_two_at_once_move_each_job_once(conn: Conn, dsn: str) -> None:
    """Even should the session's lock fail: the operation's row is locked as well."""
    jobs = dead(conn, 4)
    operation = begin(conn, "retry")
    conn.execute("set statement_timeout = '5s'")
    with connect(dsn, autocommit=False) as other:
        other.execute("select pgq._operate(2)")
        assert answer(conn, "operate") == 0
        assert value(conn, "select pgq._operate(2)") == 0
        other.commit()
    assert counts(conn, operation) == ("running", 2, 2, 0)
    answer(conn, "operate")
    assert counts(conn, operation) == ("done", 4, 4, 0)
    assert states(conn, jobs) == ["ready"] * 4
    assert_counters_are_right(conn)


def test_who_finds_another_at_it_leaves_the_jobs_to_them(conn: Conn, dsn: str) -> None:
    (job,) = insert(conn)
    begin(conn, "cancel")
    with connect(dsn) as other:
        other.execute("select pg_advisory_lock(1885827428, hashtext('operate'))")
        assert answer(conn, "operate") == 0
    assert state(conn, job) == "ready"


def search_two_at_a_time(conn: Conn) -> None:
    """Each search stops after two jobs, as one does that has many to look at."""
    conn.execute("alter function pgq._find_jobs rename to _find_more_jobs")
    conn.execute(
        "create function pgq._find_jobs(p_filter jsonb, p_after bigint, p_before bigint,"
        " p_oldest_first boolean, p_most integer, p_rows integer, p_budget interval,"
        " p_ids bigint[] default null) returns table (id bigint, looked_to bigint)"
        " language sql as $$ select * from pgq._find_more_jobs(p_filter, p_after, p_before,"
        " p_oldest_first, p_most, 2, '10 s', p_ids) $$"
    )


def test_search_that_stopped_goes_on_where_it_was(conn: Conn) -> None:
    jobs = [job for n in range(7) for job in insert(conn, tags=["x"] if n in (3, 6) else [])]
    operation = begin(conn, "cancel", tag="x")
    search_two_at_a_time(conn)
    assert [answer(conn, "operate") for _ in range(4)] == [0, 1, 0, 1]
    assert states(conn, jobs) == ["ready"] * 3 + ["cancelled"] + ["ready"] * 2 + ["cancelled"]
    assert counts(conn, operation) == ("done", 2, 2, 0)


def test_search_for_those_that_were_busy_goes_on_as_well(conn: Conn, dsn: str) -> None:
    jobs = dead(conn, 5)
    operation = begin(conn, "retry")
    with connect(dsn, autocommit=False) as other:
        other.execute("select from pgq.dead for update")
        answer(conn, "operate")
    search_two_at_a_time(conn)
    next_round(conn)
    assert [answer(conn, "operate") for _ in range(3)] == [2, 2, 1]
    assert states(conn, jobs) == ["ready"] * 5
    assert counts(conn, operation) == ("done", 5, 5, 0)


def test_many_workers_move_each_job_once(conn: Conn, dsn: str) -> None:
    jobs = insert(conn, 60)
    operation = begin(conn, "cancel")

    def work() -> None:
        with connect(dsn) as session:
            while told(session, operation)["state"] == "running":
                answer(session, "operate", limit=5)

    with in_background(work), in_background(work), in_background(work):
        pass
    assert states(conn, jobs) == ["cancelled"] * 60
    assert counts(conn, operation) == ("done", 60, 60, 0)
    assert depths(conn) == {"cancelled": 60}


def test_operations_take_turns(conn: Conn) -> None:
    for queue in ("a", "b"):
        insert(conn, 3, queue=queue)
    operations = [begin(conn, "cancel", queue=queue) for queue in ("a", "b")]
    for _ in range(4):
        answer(conn, "operate", limit=1)
    assert [told(conn, each)["done"] for each in operations] == [2, 2]


def test_limit_of_a_slice_is_for_all_together(conn: Conn) -> None:
    for queue in ("a", "b"):
        insert(conn, 3, queue=queue)
    operations = [begin(conn, "cancel", queue=queue) for queue in ("a", "b")]
    assert answer(conn, "operate", limit=4) == 4
    assert [told(conn, each)["done"] for each in operations] == [3, 1]


# Limits and rates ---------------------------------------------------------------------------------


def test_no_more_than_its_limit(conn: Conn) -> None:
    jobs = dead(conn, 8)
    operation = begin(conn, "retry", limit=5)
    assert [answer(conn, "operate", limit=3) for _ in range(3)] == [3, 2, 0]
    assert states(conn, jobs) == ["ready"] * 5 + ["dead"] * 3
    assert counts(conn, operation) == ("done", 5, 5, 0)


def test_limit_counts_what_was_moved(conn: Conn) -> None:
    dead(conn, 2, unique_key="k")
    others = dead(conn, 3)
    insert(conn, unique_key="k")
    operation = begin(conn, "retry", limit=2)
    for _ in range(3):
        answer(conn, "operate")
    assert states(conn, others) == ["ready", "ready", "dead"]
    assert counts(conn, operation) == ("done", 4, 2, 2)


def test_no_faster_than_its_rate(conn: Conn) -> None:
    insert(conn, 40)
    operation = begin(conn, "cancel", rate=0.01)
    moved = []
    for since in ("0", "0", "50 s", "51 s", "0", "99 s", "2 s"):
        earlier(conn, since)
        moved.append(answer(conn, "operate"))
    assert moved == [1, 0, 0, 1, 0, 0, 1]
    assert told(conn, operation)["done"] == 3


def test_rate_holds_across_slices_of_any_size(conn: Conn) -> None:
    insert(conn, 40)
    begin(conn, "cancel", rate=0.1)
    answer(conn, "operate")
    earlier(conn, "10 s")
    assert answer(conn, "operate", limit=1000) == 1
    assert answer(conn, "operate", limit=1000) == 0


def test_time_without_upkeep_is_not_made_up_for(conn: Conn) -> None:
    insert(conn, 40)
    begin(conn, "cancel", rate=3)
    earlier(conn, "1 hour")
    assert answer(conn, "operate") == 6


def test_what_is_skipped_does_not_slow_the_rest_down(conn: Conn) -> None:
    jobs = dead(conn, 3, unique_key="k") + dead(conn)
    insert(conn, unique_key="k")
    operation = begin(conn, "retry", rate=0.01)
    for _ in range(4):
        answer(conn, "operate")
    assert states(conn, jobs) == ["dead"] * 3 + ["ready"]
    assert counts(conn, operation)[1:] == (4, 1, 3)


def test_clock_that_is_set_back_does_no_harm(conn: Conn) -> None:
    insert(conn, 4)
    begin(conn, "cancel", rate=1)
    answer(conn, "operate")
    earlier(conn, "-1 hour")
    assert answer(conn, "operate") == 0
    assert value(conn, "select credit >= 0 from pgq.operation")


# Ends -------------------------------------------------------------------------------------------


def test_nothing_to_do_is_done_at_once(conn: Conn) -> None:
    operation = begin(conn, "retry")
    assert answer(conn, "operate") == 0
    assert counts(conn, operation) == ("done", 0, 0, 0)


def test_stopped_operation_moves_nothing_more(conn: Conn) -> None:
    jobs = dead(conn, 4)
    operation = begin(conn, "retry")
    answer(conn, "operate", limit=2)
    answer(conn, "stop_operation", id=operation)
    assert answer(conn, "operate") == 0
    assert states(conn, jobs) == ["ready"] * 2 + ["dead"] * 2
    assert counts(conn, operation) == ("stopped", 2, 2, 0)


def break_purge(conn: Conn, how: str) -> None:
    conn.execute(
        "create or replace function pgq._purge_jobs(p_ids bigint[]) returns setof bigint"
        f" language plpgsql as $$ begin delete from pgq.dead; raise {how}; end $$"
    )


def test_one_that_breaks_fails_with_its_message_and_the_others_go_on(conn: Conn) -> None:
    (job,) = dead(conn)
    waiting = insert(conn)
    purge, cancel = begin(conn, "purge"), begin(conn, "cancel")
    break_purge(conn, "'out of order'")
    answer(conn, "operate")
    assert (state(conn, job), states(conn, waiting)) == ("dead", ["cancelled"])
    assert counts(conn, purge) == ("failed", 0, 0, 0)
    assert told(conn, purge)["message"] == "out of order"
    assert counts(conn, cancel) == ("done", 1, 1, 0)


@pytest.mark.parametrize("code", ["40P01", "40001", "55P03"])
def test_slice_that_met_another_transaction_is_tried_again(conn: Conn, code: str) -> None:
    (job,) = dead(conn)
    operation = begin(conn, "purge")
    break_purge(conn, f"sqlstate '{code}'")
    answer(conn, "operate")
    assert counts(conn, operation) == ("running", 0, 0, 0)
    assert state(conn, job) == "dead"
