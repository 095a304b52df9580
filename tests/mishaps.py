"""What goes wrong in a real queue, for each alert, and how it is made."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from uuid import uuid4

import psycopg

import servers
from sql.support import Conn, answer, call, claim, connect, insert, lose, register, value


@dataclass
class Place:
    """A queue with a worker, in order until something is made to go wrong."""

    conn: Conn
    dsn: str
    stack: ExitStack

    def another_session(self, *, autocommit: bool = False) -> Conn:
        return self.stack.enter_context(connect(self.dsn, autocommit=autocommit))

    def fail(self, count: int, **how: object) -> None:
        """So many attempts fail."""
        insert(self.conn, count)
        for lease in claim(self.conn, limits=count):
            call(self.conn, "fail", id=lease["id"], token=lease["token"], **how)


Make = Callable[[Place], object]


@dataclass(frozen=True)
class Mishap:
    alert: str
    make: Make
    limits: Mapping[str, str] = field(default_factory=dict)
    """Texts of the rule and what stands in their place, where the fault would take too long."""


MISHAPS: list[Mishap] = []


def mishap(alert: str, **limits: str) -> Callable[[Make], Make]:
    """Declares what makes an alert fire; `limits` as old="…", new="…"."""

    def declare(make: Make) -> Make:
        replaced = {limits["old"]: limits["new"]} if limits else {}
        MISHAPS.append(Mishap(alert, make, replaced))
        return make

    return declare


# Workers


@mishap("PgqNoWorkers")
def nobody_works(place: Place) -> None:
    place.conn.execute("update pgq.worker set state = 'offline'")
    insert(place.conn)


@mishap("PgqQueueWithoutWorker")
def nobody_takes_a_queue(place: Place) -> None:
    insert(place.conn, queue="alone")


@mishap("PgqWorkersSaturated")
def every_slot_is_busy(place: Place) -> None:
    place.conn.execute("update pgq.worker set busy = slots")
    waiting_for(place, "2 minutes")


@mishap("PgqWorkersLost")
def workers_vanish(place: Place) -> None:
    for _ in range(4):
        lose(place.conn, register(place.conn, "default"))


@mishap("PgqHeartbeatLate")
def worker_is_silent(place: Place) -> None:
    place.conn.execute("update pgq.worker set heartbeat_at = now() - interval '30 seconds'")


# Jobs


def waiting_for(place: Place, age: str) -> None:
    (job,) = insert(place.conn)
    place.conn.execute(
        "update pgq.job set created_at = now() - %s::interval where id = %s", [age, job]
    )


@mishap("PgqJobsWaitLong")
def job_waits(place: Place) -> None:
    waiting_for(place, "10 minutes")


@mishap("PgqDeadLettersGrowing")
def jobs_die(place: Place) -> None:
    place.fail(5, error_class="KeyError", permanent=True)


@mishap("PgqFailureRatioHigh")
def attempts_fail(place: Place) -> None:
    place.fail(20, error_class="KeyError")


@mishap("PgqTimeouts")
def attempts_time_out(place: Place) -> None:
    place.fail(5, reason="timeout")


@mishap("PgqRetryStorm")
def everything_is_retried(place: Place) -> None:
    place.fail(100, error_class="KeyError")


@mishap("PgqHandlersCrash")
def processes_die(place: Place) -> None:
    worker = register(place.conn, "default")
    insert(place.conn, 4)
    begun = [job["id"] for job in claim(place.conn, worker=worker, executor=1, limits=4)]
    call(place.conn, "release_executor", worker=worker, executor=1, begun=begun)
    for _ in begun:
        (alone,) = claim(place.conn, worker=worker, executor=2, suspects=True, limits=1)
        call(place.conn, "release_executor", worker=worker, executor=2, begun=[alone["id"]])


@mishap("PgqUnknownTasks")
def nobody_knows_a_task(place: Place) -> None:
    answer(place.conn, "configure", unknown_task_after="0")
    insert(place.conn)
    (lease,) = claim(place.conn, limits=1)
    call(place.conn, "decline", ids=[lease["id"]], tokens=[lease["token"]])


@mishap("PgqLeaseExpirations")
def leases_end(place: Place) -> None:
    insert(place.conn, 12)
    worker = register(place.conn, "default", slots=12)
    assert len(claim(place.conn, worker=worker, limits=12)) == 12
    lose(place.conn, worker)


@mishap("PgqStaleCompletions")
def late_writes_come(place: Place) -> None:
    jobs = insert(place.conn, 12)
    call(place.conn, "complete_many", ids=jobs, tokens=[uuid4()] * len(jobs))


@mishap("PgqQueuePausedLong")
def queue_stays_paused(place: Place) -> None:
    insert(place.conn)
    answer(place.conn, "pause", queue="default")
    place.conn.execute("update pgq.queue set paused_at = now() - interval '5 hours'")


# Upkeep


@mishap("PgqUpkeepStopped")
def nobody_does_upkeep(place: Place) -> None:
    place.conn.execute("update pgq.lease_clock set at = at - interval '1 hour'")


@mishap("PgqFloorStuck")
def floors_stand_still(place: Place) -> None:
    place.conn.execute("update pgq.mark set noted_at = noted_at - interval '1 hour'")


@mishap("PgqPartitionsMissing")
def days_are_missing(place: Place) -> None:
    days = "select pgq._partition_name('job', pgq._today() + n) from generate_series(2, 7) n"
    for (name,) in place.conn.execute(days).fetchall():
        place.conn.execute(f"drop table pgq.{name}".encode())


@mishap("PgqRepaired")
def rows_were_deleted(place: Place) -> None:
    insert(place.conn)
    place.conn.execute("delete from pgq.ready")
    answer(place.conn, "audit_state")


# Postgres


@mishap("PgqOldTransaction", old="age_seconds) > 1800", new="age_seconds) > 0")
def transaction_stays_open(place: Place) -> None:
    place.another_session().execute("select 1")


@mishap("PgqVacuumHeldBack", old="> 10000000", new="> 50")
def snapshot_is_held(place: Place) -> None:
    holder = place.another_session()
    holder.execute("set transaction isolation level repeatable read")
    holder.execute("select 1")
    for _ in range(60):
        place.conn.execute("select pg_current_xact_id()")


@mishap("PgqDeadRows", old='unique_key"}) > 1000000', new='unique_key"}) > 500')
def dead_rows_stay(place: Place) -> None:
    place.conn.execute("alter table pgq.ready set (autovacuum_enabled = off)")
    insert(place.conn, 1000)
    place.conn.execute("delete from pgq.ready")
    place.conn.execute("analyze pgq.ready")
    dead = "select max(t.dead_rows) from pgq.list_tables() t where t.relation = 'ready'"
    servers.until(lambda: value(place.conn, dead) >= 1000, "the dead rows are counted")


@mishap("PgqNotificationQueueFilling", old="queue_ratio) > 0.5", new="queue_ratio) > 0")
def nobody_reads_notifications(place: Place) -> None:
    listener = place.another_session()
    listener.execute("listen somewhere")
    listener.commit()
    listener.execute("select 1")
    for n in range(10):
        place.conn.execute("select pg_notify('somewhere', %s)", [f"{n}{'x' * 7000}"])


@mishap("PgqConnectionsNearLimit", old="> 0.85", new="> 0.1")
def sessions_pile_up(place: Place) -> None:
    most = int(value(place.conn, "select current_setting('max_connections')"))
    for _ in range(most // 8):
        place.another_session(autocommit=True)


@mishap("PgqDiskGrowth", old="> 10e9", new="> 1")
def tables_grow(place: Place) -> None:
    place.conn.execute(
        "insert into pgq.job (task, payload) select 'echo', to_json(("
        " select string_agg(md5(i::text || n), '') from generate_series(1, 300) i"
        ")) from generate_series(1, 1500) n"
    )


@mishap("PgqScrapeSlow")
def scrape_waits(place: Place) -> None:
    """For somebody who holds a table for 0.6 s after the scrape has begun to wait for it."""
    holder = place.another_session()
    holder.execute("lock table pgq.counter")
    waits = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and pid = %s"
    pid = place.conn.info.backend_pid

    def let_go() -> None:
        with psycopg.connect(place.dsn, autocommit=True) as onlooker:
            servers.until(lambda: bool(value(onlooker, waits, [pid])), "the scrape waits")
        holder.execute("select pg_sleep(0.6)")
        holder.commit()

    thread = threading.Thread(target=let_go)
    thread.start()
    place.stack.callback(thread.join)
