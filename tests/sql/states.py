"""A job in each state, made only by verbs, for tables of what each verb takes and refuses."""

from __future__ import annotations

from typing import Any

from sql.support import Conn, answer, call, claim_one, column, hold, insert, refused, state, value

# Ready is the last: a job that is ready would be claimed instead of the next one.
STATES = ("scheduled", "running", "retrying", "succeeded", "cancelled", "dead", "ready")


def job_in(conn: Conn, wanted: str, **columns: Any) -> int:
    """Id of a new job in this state."""
    if wanted == "scheduled":
        columns["run_at"] = "2100-01-01"
    (job,) = insert(conn, **columns)
    if wanted == "cancelled":
        answer(conn, "cancel", id=job)
    elif wanted not in ("scheduled", "ready"):
        lease = claim_one(conn, queues=[columns.get("queue", "default")])
        assert lease["id"] == job
        if wanted == "succeeded":
            answer(conn, "complete", **hold(lease))
        elif wanted == "retrying":
            call(conn, "fail", **hold(lease), error_class="Boom", message="no", retry_in="1 hour")
        elif wanted == "dead":
            call(conn, "fail", **hold(lease), error_class="Boom", message="no", permanent=True)
    assert state(conn, job) == wanted
    return job


def crashed(conn: Conn, **columns: Any) -> int:
    """Id of a job that is dead because each process that ran it died."""
    (job,) = insert(conn, **columns)
    worker = int(call(conn, "register_worker", name="w", queues=["default"], slots=1)[0]["worker"])
    while state(conn, job) != "dead":
        assert claim_one(conn, worker=worker)["id"] == job
        call(conn, "release_executor", worker=worker, executor=1, begun=[job])
    return job


def others(*allowed: str) -> list[str]:
    return [each for each in STATES if each not in allowed]


def assert_refuses_other_states(conn: Conn, verb: str, wrong: str, **arguments: Any) -> None:
    """The verb leaves a job in a wrong state alone, and says which job, which state, which verb."""
    job = job_in(conn, wrong)
    with refused("PQ003") as said:
        call(conn, verb, id=job, **arguments)
    assert str(job) in said.message
    assert wrong in said.message
    assert verb in said.message
    assert state(conn, job) == wrong


def assert_refuses_unknown_jobs(conn: Conn, verb: str, **arguments: Any) -> None:
    for job in (1, 2**52, None):
        with refused("PQ002"):
            call(conn, verb, id=job, **arguments)


def depths(conn: Conn, queue: str = "default") -> dict[str, int]:
    """How many jobs of the queue stand in each state, as the counters say; without zeros."""
    found = conn.execute(
        "select m.state, sum(m.n)::integer from pgq.stats() s cross join lateral ("
        " values (split_part(s.label, '>', 1), -s.n), (split_part(s.label, '>', 2), s.n)"
        ") m (state, n) where s.metric = 'transition' and s.queue = %s"
        " group by m.state having sum(m.n) <> 0 and m.state <> ''",
        [queue],
    ).fetchall()
    return dict(found)


def assert_counters_are_right(conn: Conn, queue: str = "default") -> None:
    stands: dict[str, int] = {}
    for each in column(conn, "select s.state from pgq.job_status s where s.queue = %s", [queue]):
        stands[each] = stands.get(each, 0) + 1
    assert depths(conn, queue) == stands


def holder(conn: Conn, key: str) -> int | None:
    found = column(conn, "select k.job_id from pgq.unique_key k where k.key = %s", [key])
    return found[0] if found else None


def seq(conn: Conn, job: int) -> int:
    return int(value(conn, "select r.seq from pgq.ready r where r.job_id = %s", [job]))


def end_holders_after_each_insert(conn: Conn) -> None:
    """Each holder of a key ends right after an insert found it taken, before anybody looks."""
    conn.execute(
        "create function free_keys() returns trigger language plpgsql security definer as"
        " $$ begin delete from pgq.unique_key; return null; end $$;"
        " create trigger free_keys after insert on pgq.job execute function free_keys()"
    )
