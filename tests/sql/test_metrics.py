from __future__ import annotations

import pytest

from sql.states import STATES, crashed, job_in
from sql.support import (
    Conn,
    acting,
    answer,
    call,
    claim,
    connect,
    hold,
    hold_all,
    insert,
    lose,
    refused,
    register,
    rows,
    running,
    value,
)

Samples = dict[tuple[str, ...], float]


def samples(conn: Conn, metric: str, suffix: str = "", **arguments: int) -> Samples:
    """Values of a metric by its labels."""
    return {
        tuple(each["labels"]): each["value"]
        for each in call(conn, "metrics", **arguments)
        if each["metric"] == metric and each["suffix"] == suffix
    }


def seen(found: Samples) -> Samples:
    return {labels: number for labels, number in found.items() if number}


def test_every_metric_that_is_listed_has_samples_with_its_labels(conn: Conn) -> None:
    for wanted in STATES:
        job_in(conn, wanted)
    listed = {each["metric"]: each for each in call(conn, "list_metrics")}
    found = call(conn, "metrics")
    assert {each["metric"] for each in found} == set(listed)
    for each in found:
        family = listed[each["metric"]]
        wanted_labels = len(family["labels"]) + (each["suffix"] == "_bucket")
        assert len(each["labels"]) == wanted_labels, each
        assert each["value"] is not None
        assert (each["suffix"] != "") == (family["type"] == "histogram")


def test_each_sample_is_told_once(conn: Conn) -> None:
    for queue in ("a", "b", "other"):
        for wanted in STATES:
            job_in(conn, wanted, queue=queue)
    keys = [(e["metric"], e["suffix"], *e["labels"]) for e in call(conn, "metrics", queues=1)]
    assert len(keys) == len(set(keys))


def test_depth_is_told_by_queue_and_state(conn: Conn) -> None:
    for wanted in STATES:
        job_in(conn, wanted, queue="a")
    insert(conn, 2, queue="b")
    assert seen(samples(conn, "pgq_jobs")) == {
        ("a", "scheduled"): 1,
        ("a", "ready"): 1,
        ("a", "running"): 1,
        ("a", "retrying"): 1,
        ("a", "dead"): 1,
        ("b", "ready"): 2,
    }


def test_jobs_are_counted_from_enqueueing_to_their_end(conn: Conn) -> None:
    for wanted in STATES:
        job_in(conn, wanted)
    assert seen(samples(conn, "pgq_jobs_enqueued_total")) == {("default", "sql"): 7}
    assert samples(conn, "pgq_jobs_started_total") == {("default",): 4}
    assert samples(conn, "pgq_jobs_finished_total") == {
        ("default", "succeeded"): 1,
        ("default", "cancelled"): 1,
        ("default", "dead"): 1,
    }


@pytest.mark.parametrize(
    ("program", "source"),
    [("pgq server", "http"), ("pgq client", "python"), ("pgq", "cli"), ("psql", "sql")],
)
def test_jobs_are_counted_by_who_made_them(conn: Conn, program: str, source: str) -> None:
    conn.execute("select set_config('application_name', %s, false)", [program])
    insert(conn)
    insert(conn, 3)
    insert(conn, 2, run_at="2100-01-01")
    assert seen(samples(conn, "pgq_jobs_enqueued_total")) == {("default", source): 6}
    assert seen(samples(conn, "pgq_jobs")) == {("default", "ready"): 4, ("default", "scheduled"): 2}
    answer(conn, "sample")
    noted = rows(conn, "select n from pgq.list_samples() where metric = 'enqueued'")
    assert noted == [{"n": 6}]


def test_attempts_are_counted_by_result_and_retries_by_reason(conn: Conn) -> None:
    job_in(conn, "succeeded")
    job_in(conn, "retrying")
    job_in(conn, "dead")
    call(conn, "fail", **hold(running(conn)), reason="timeout", retry_in="1 hour")
    call(conn, "release", **hold_all(running(conn)), begun=[True])
    assert seen(samples(conn, "pgq_job_attempts_total")) == {
        ("default", "succeeded"): 1,
        ("default", "error"): 2,
        ("default", "timeout"): 1,
        ("default", "released"): 1,
    }
    assert seen(samples(conn, "pgq_job_retries_total")) == {
        ("default", "error"): 1,
        ("default", "timeout"): 1,
    }
    assert seen(samples(conn, "pgq_jobs_dead_total")) == {("default", "error"): 1}


def test_attempt_that_fails_after_its_cancellation_is_no_retry(conn: Conn) -> None:
    lease = running(conn)
    answer(conn, "cancel", id=lease["id"])
    assert call(conn, "fail", **hold(lease))[0]["state"] == "cancelled"
    assert seen(samples(conn, "pgq_job_attempts_total")) == {("default", "cancelled"): 1}
    assert seen(samples(conn, "pgq_job_retries_total")) == {}


def test_crash_that_kills_a_job_is_no_retry(conn: Conn) -> None:
    crashed(conn)
    (attempts,) = seen(samples(conn, "pgq_job_attempts_total")).values()
    assert seen(samples(conn, "pgq_job_retries_total")) == {("default", "crashed"): attempts - 1}
    assert seen(samples(conn, "pgq_jobs_dead_total")) == {("default", "crashed"): 1}


def test_lost_worker_is_counted_with_what_it_held(conn: Conn) -> None:
    worker = register(conn)
    running(conn, worker=worker)
    lose(conn, worker)
    assert samples(conn, "pgq_workers_lost_total") == {(): 1}
    assert samples(conn, "pgq_lease_expirations_total") == {("default",): 1}
    assert seen(samples(conn, "pgq_job_retries_total")) == {("default", "lost"): 1}
    assert seen(samples(conn, "pgq_workers")) == {("offline",): 1}


def test_refused_completions_are_counted(conn: Conn) -> None:
    lease = running(conn)
    call(conn, "release", **hold_all(lease))
    call(conn, "complete_many", **hold_all(lease))
    assert seen(samples(conn, "pgq_stale_completions_total")) == {("default", "complete"): 1}


def test_buckets_of_a_histogram_are_cumulative(conn: Conn) -> None:
    for seconds in (0.2, 0.2, 45, 1e6):
        call(conn, "complete_many", **hold_all(running(conn)), ran_seconds=[seconds])
    found = samples(conn, "pgq_job_run_seconds", "_bucket")
    assert list(found) == sorted(found, key=lambda labels: float(labels[1]))
    assert (found["default", "0.1"], found["default", "0.25"]) == (0, 2)
    assert (found["default", "60.0"], found["default", "43200.0"]) == (3, 3)
    assert found["default", "+Inf"] == 4
    assert samples(conn, "pgq_job_run_seconds", "_count") == {("default",): 4}
    assert samples(conn, "pgq_job_run_seconds", "_sum") == {
        ("default",): pytest.approx(1_000_045.4)
    }


def test_oldest_ready_job_has_an_age(conn: Conn) -> None:
    insert(conn, queue="a")
    conn.execute("update pgq.job set created_at = now() - interval '1 hour'")
    insert(conn, queue="b")
    found = samples(conn, "pgq_queue_oldest_ready_age_seconds")
    assert 3600 <= found["a",] < 3700
    assert found["b",] < 60
    claim(conn, queues=["a"])
    assert samples(conn, "pgq_queue_oldest_ready_age_seconds")["a",] == 0


def test_queue_says_whether_it_is_paused_and_what_limits_it(conn: Conn) -> None:
    insert(conn, queue="a")
    answer(conn, "pause", queue="b")
    conn.execute("update pgq.queue set paused_at = now() - interval '1 hour'")
    call(conn, "configure_queue", queue="a", max_attempts=7, timeout="90 seconds")
    assert samples(conn, "pgq_queue_paused") == {("a",): 0, ("b",): 1}
    assert 3600 <= samples(conn, "pgq_queue_paused_seconds")["b",] < 3700
    assert samples(conn, "pgq_queue_max_attempts") == {("a",): 7, ("b",): 5}
    assert samples(conn, "pgq_queue_timeout_seconds") == {("a",): 90, ("b",): 600}


def test_workers_are_counted_by_state_with_their_slots(conn: Conn) -> None:
    insert(conn, queue="a")
    one, two = register(conn, "a", "b", "a", slots=3), register(conn, "a", slots=4)
    conn.execute("update pgq.worker set busy = 2 where id = %s", [two])
    assert seen(samples(conn, "pgq_workers")) == {("available",): 2}
    assert samples(conn, "pgq_worker_slots") == {(): 7}
    assert samples(conn, "pgq_worker_busy_slots") == {(): 2}
    assert samples(conn, "pgq_queue_workers") == {("a",): 2}
    answer(conn, "drain", worker=one)
    assert seen(samples(conn, "pgq_workers")) == {("available",): 1, ("draining",): 1}
    assert samples(conn, "pgq_queue_workers") == {("a",): 1}


def test_heartbeat_age_is_that_of_the_worker_heard_of_last(conn: Conn) -> None:
    assert samples(conn, "pgq_worker_heartbeat_age_seconds") == {(): 0}
    register(conn)
    slow = register(conn)
    conn.execute(
        "update pgq.worker set heartbeat_at = now() - interval '9 seconds' where id = %s", [slow]
    )
    assert 9 <= samples(conn, "pgq_worker_heartbeat_age_seconds")[()] < 30


def test_queues_beyond_the_cap_are_added_up_as_other(conn: Conn) -> None:
    for queue in ("c", "b", "a", "other"):
        insert(conn, 2, queue=queue)
    assert seen(samples(conn, "pgq_jobs", queues=2)) == {
        ("c", "ready"): 2,
        ("b", "ready"): 2,
        ("other", "ready"): 4,
    }
    assert samples(conn, "pgq_queues", queues=2) == {(): 4}


def test_queue_that_has_a_name_keeps_it_when_others_come(conn: Conn) -> None:
    insert(conn, queue="z")
    answer(conn, "pause", queue="b")
    insert(conn, queue="a")
    assert set(samples(conn, "pgq_jobs_started_total", queues=2)) == {("z",), ("a",), ("other",)}


def test_number_of_samples_does_not_grow_past_the_cap(conn: Conn) -> None:
    for n in range(3):
        insert(conn, queue=f"q{n}")
    before = len(call(conn, "metrics", queues=2))
    for n in range(30):
        insert(conn, queue=f"more{n}")
    assert len(call(conn, "metrics", queues=2)) == before


def test_what_cannot_be_told_of_a_queue_counts_as_other(conn: Conn) -> None:
    lease = running(conn)
    conn.execute("delete from pgq.lease; delete from pgq.job")
    call(conn, "complete_many", **hold_all(lease))
    insert(conn, queue="other")
    found = seen(samples(conn, "pgq_stale_completions_total"))
    assert found == {("other", "complete"): 1}


def test_viewer_may_read_it(conn: Conn, dsn: str) -> None:
    with connect(dsn) as session, acting(session, "pgq_viewer"):
        assert call(session, "metrics")


@pytest.mark.parametrize("bad", [0, 10_001])
def test_cap_that_makes_no_sense_is_refused(conn: Conn, bad: int) -> None:
    with refused("PQ005"):
        call(conn, "metrics", queues=bad)


def test_it_counts_no_jobs(conn: Conn) -> None:
    insert(conn, 3)
    conn.execute("delete from pgq.ready; delete from pgq.job")
    assert seen(samples(conn, "pgq_jobs")) == {("default", "ready"): 3}
    assert value(conn, "select count(*) from pgq.job") == 0


def test_repairs_are_counted_by_what_was_wrong(conn: Conn) -> None:
    insert(conn)
    conn.execute("delete from pgq.ready")
    answer(conn, "audit_state")
    assert seen(samples(conn, "pgq_repaired_total")) == {("no_state",): 1}
