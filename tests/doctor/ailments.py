"""A fault for each check: how it is made, and what the doctor then says."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import servers
from faults.pooler import Pooler
from faults.row import NotPlayable
from pgq import config, doctor, schema
from pgq.doctor import Diagnosis, Patient, patient
from sql.support import Conn, answer, call, connect, day_of_ids, insert, value


@dataclass
class Scene:
    """A queue in order, in which a fault is made."""

    conn: Conn
    dsn: str
    monkeypatch: pytest.MonkeyPatch
    stack: ExitStack
    limits: dict[str, float] = field(default_factory=dict)
    """In place of the check's own, where the fault would take too long to grow."""
    facts: dict[str, Any] = field(default_factory=dict)
    """In place of what the database says, where nobody can have a test make it say so."""

    def look(self, name: str) -> Diagnosis:
        """What the doctor says."""
        examined = Patient(config.load({"database_url": self.dsn}))
        self.stack.callback(examined.close)
        for fact, told in self.facts.items():
            found = {**getattr(examined, fact), **told} if isinstance(told, dict) else told
            examined.__dict__[fact] = found
        check = doctor.checks()[name]
        self.monkeypatch.setitem(doctor.CHECKS, name, replace(check, **self.limits))
        (diagnosis,) = doctor.examine(examined, lambda each: each.name == name)
        return diagnosis

    def another_session(self, **options: Any) -> Conn:
        return self.stack.enter_context(connect(self.dsn, **options))

    def database(self, setting: str) -> None:
        """Sets something for all sessions to come."""
        name = value(self.conn, "select current_database()")
        self.conn.execute(f"alter database {name} set {setting}".encode())

    def pooled(self) -> None:
        """From here on the way leads through PgBouncer."""
        try:
            self.dsn = self.stack.enter_context(Pooler(self.dsn)).dsn
        except NotPlayable as why:
            pytest.skip(str(why))

    def sampled(self, metric: str, label: str, n: int) -> None:
        """There were so many in the last minutes."""
        self.conn.execute("delete from pgq.sample")
        self.conn.execute(
            "insert into pgq.sample (at, metric, label, n) values"
            " (now() - interval '8 minutes', %(metric)s, %(label)s, 5),"
            " (now(), %(metric)s, %(label)s, 5 + %(n)s)",
            {"metric": metric, "label": label, "n": n},
        )


@dataclass(frozen=True)
class Fault:
    check: str
    make: Callable[[Scene], None]
    verdict: str
    says: str
    mend: str

    def __str__(self) -> str:
        return f"{self.check}-{self.make.__name__}"


FAULTS: list[Fault] = []

Made = Callable[[Scene], None]


def fault(check: str, verdict: str, says: str, mend: str) -> Callable[[Made], Made]:
    """Declares a fault with the verdict, and words of the evidence and of the remedy."""

    def declare(make: Made) -> Made:
        FAULTS.append(Fault(check, make, verdict, says, mend))
        return make

    return declare


# Reach


@fault("files", "warning", "pgq.toml", "chmod o-rwx pgq.toml")
def password_lies_open(scene: Scene) -> None:
    Path("pgq.toml").write_text('listen_url = "postgresql://u:secret@h/d"\n')
    Path("pgq.toml").chmod(0o644)


@fault("connection", "critical", "refused", "pgq config")
def nobody_answers(scene: Scene) -> None:
    scene.dsn = "host=127.0.0.1 port=1"


@fault("primary", "critical", "standby", "target_session_attrs")
def a_standby(scene: Scene) -> None:
    scene.facts["server"] = {"is_standby": True}


@fault("tls", "warning", "192.0.2.1, the connection not encrypted", "sslmode")
def a_network_in_between(scene: Scene) -> None:
    scene.facts["host"] = "192.0.2.1"


@fault("listen", "warning", "heard nothing", "PGQ_LISTEN_URL")
def pooler_in_transaction_mode(scene: Scene) -> None:
    scene.monkeypatch.setattr(patient, "ECHO", 0.5)
    scene.pooled()


@fault("pooler-timeouts", "warning", "idle_in_transaction_session_timeout", "alter role")
def pooler_without_timeouts(scene: Scene) -> None:
    scene.pooled()


@fault("clock", "critical", "2.0 min behind", "timedatectl")
def clock_is_slow(scene: Scene) -> None:
    late = staticmethod(lambda: datetime.now(UTC) - timedelta(seconds=120))
    scene.monkeypatch.setattr(Patient, "local_now", late)


# Schema


@fault("schema-version", "warning", "version 999", "pip install --upgrade")
def schema_of_a_newer_release(scene: Scene) -> None:
    scene.conn.execute("insert into pgq.migration values (999, '0999_later', '')")


@fault("schema-version", "critical", "the program brings 999", "pgq migrate")
def program_of_a_newer_release(scene: Scene) -> None:
    scene.monkeypatch.setattr(schema, "VERSION", 999)


@fault("routines", "warning", "version was changed", "pgq migrate")
def routine_was_changed(scene: Scene) -> None:
    scene.conn.execute(
        "create or replace function pgq.version() returns integer language sql stable"
        " security definer set search_path = '' as 'select 1'"
    )


@fault("routines", "warning", "version is missing", "pgq migrate")
def routine_is_missing(scene: Scene) -> None:
    scene.conn.execute("drop function pgq.version()")


@fault("routines", "warning", "mine is not ours", "pgq migrate")
def routine_of_somebody_else(scene: Scene) -> None:
    scene.conn.execute("create function pgq.mine() returns integer language sql as 'select 1'")


@fault("routines", "warning", "pause was altered", "pgq migrate")
def routine_has_other_rights(scene: Scene) -> None:
    scene.conn.execute("alter function pgq.pause security invoker")


@fault("roles", "warning", "pgq_viewer", "create role pgq_viewer nologin;")
def role_is_missing(scene: Scene) -> None:
    scene.facts["roles"] = set(schema.ROLES) - {"pgq_viewer"}


@fault("grants", "critical", "pgq_operator may not call pause", "pgq migrate")
def verb_was_revoked(scene: Scene) -> None:
    scene.conn.execute("revoke execute on function pgq.pause from pgq_operator")


@fault("grants", "critical", "pgq_enqueuer may not insert jobs", "pgq migrate")
def column_was_revoked(scene: Scene) -> None:
    scene.conn.execute("revoke insert (payload) on pgq.job from pgq_enqueuer")


@fault("grants", "critical", "pgq_worker may not use the schema", "pgq migrate")
def schema_was_revoked(scene: Scene) -> None:
    scene.conn.execute("revoke usage on schema pgq from pgq_worker")


@fault("grants", "critical", "everybody may call claim", "pgq migrate")
def verb_is_open_to_all(scene: Scene) -> None:
    scene.conn.execute("grant execute on function pgq.claim to public")


@fault("triggers", "critical", "on pgq.job", "enable trigger")
def trigger_is_off(scene: Scene) -> None:
    scene.conn.execute("alter table pgq.job disable trigger user")


@fault("indexes", "critical", "pgq.ready_job_id_idx", "reindex index pgq.ready_job_id_idx")
def index_is_invalid(scene: Scene) -> None:
    scene.conn.execute(
        "update pg_index set indisvalid = false where indexrelid = 'pgq.ready_job_id_idx'::regclass"
    )


@fault("partitions", "warning", "1 days ahead", "pgq.partition()")
def partitions_run_out(scene: Scene) -> None:
    name = value(scene.conn, "select pgq._partition_name('job', pgq._today() + 2)")
    scene.conn.execute(f"drop table pgq.{name}".encode())


@fault("expired-days", "warning", "still there", "pgq.prune()")
def days_are_not_dropped(scene: Scene) -> None:
    for ago in (42, 41, 40):
        day_of_ids(scene.conn, ago)


@fault("sequences", "warning", "job_id_seq", "pgq.job_id_seq")
def ids_run_out(scene: Scene) -> None:
    scene.conn.execute("select setval('pgq.job_id_seq', (0.6 * 2 ^ 53)::bigint)")


@fault("id-day", "warning", "2 days behind", "pgq.partition()")
def ids_stay_behind(scene: Scene) -> None:
    day_of_ids(scene.conn, 2)


# Postgres


@fault("server-version", "critical", "Postgres", "upgrade")
def server_is_old(scene: Scene) -> None:
    scene.facts["server"] = {"number": 130_020}


@fault("encoding", "critical", "SQL_ASCII", "UTF8")
def another_encoding(scene: Scene) -> None:
    scene.facts["server"] = {"encoding": "SQL_ASCII"}


@fault("durability", "critical", "fsync", "alter system set fsync = on")
def commits_are_not_synced(scene: Scene) -> None:
    scene.facts["server_settings"] = {"fsync": "off", "full_page_writes": "on"}


@fault("synchronous-commit", "warning", "synchronous_commit", "reset synchronous_commit")
def commits_are_not_awaited(scene: Scene) -> None:
    scene.database("synchronous_commit = off")


@fault("isolation", "critical", "repeatable read", "read committed")
def another_isolation(scene: Scene) -> None:
    scene.database("default_transaction_isolation = 'repeatable read'")


@fault("wal-level", "warning", "minimal", "wal_level = replica")
def no_standby_is_possible(scene: Scene) -> None:
    scene.facts["server_settings"] = {"wal_level": "minimal"}


@fault("autovacuum", "critical", "autovacuum", "alter system set autovacuum = on")
def nothing_is_vacuumed(scene: Scene) -> None:
    scene.facts["server_settings"] = {"autovacuum": "off"}


@fault("autovacuum-tables", "warning", "lease", "alter table pgq.lease")
def table_is_not_vacuumed(scene: Scene) -> None:
    scene.conn.execute("alter table pgq.lease set (autovacuum_enabled = off)")


@fault("autovacuum-tables", "warning", "ready", "alter table pgq.ready")
def hot_table_is_vacuumed_by_share(scene: Scene) -> None:
    scene.conn.execute("alter table pgq.ready reset (autovacuum_vacuum_scale_factor)")


@fault("dead-rows", "warning", "in ready", "vacuum pgq.ready")
def dead_rows_stay(scene: Scene) -> None:
    scene.limits["warning"] = 500
    scene.conn.execute("alter table pgq.ready set (autovacuum_enabled = off)")
    insert(scene.conn, 1000)
    scene.conn.execute("delete from pgq.ready")
    scene.conn.execute("analyze pgq.ready")
    dead = "select max(t.dead_rows) from pgq.list_tables() t where t.relation = 'ready'"
    servers.until(lambda: value(scene.conn, dead) >= 1000, "the dead rows are counted")


@fault("wraparound", "critical", "1,900,000,000", "vacuum (freeze)")
def transaction_ids_run_out(scene: Scene) -> None:
    scene.facts["server"] = {"xid_age": 1_900_000_000}


@fault("old-transactions", "warning", "idle in transaction", "pg_terminate_backend(")
def transaction_stays_open(scene: Scene) -> None:
    scene.limits["warning"] = 0.0
    scene.another_session(autocommit=False).execute("select 'canary', 1234567")


@fault("prepared-transactions", "warning", "forgotten of", "rollback prepared 'forgotten'")
def transaction_stays_prepared(scene: Scene) -> None:
    if not value(scene.conn, "select current_setting('max_prepared_transactions')::integer"):
        pytest.skip("this server prepares no transactions")
    scene.limits["warning"] = 0.0
    session = scene.another_session(autocommit=False)
    session.execute("set local pgq.wake = 'off'")
    insert(session)
    session.execute("prepare transaction 'forgotten'")
    scene.stack.callback(scene.conn.execute, "rollback prepared 'forgotten'")


@fault("slots-and-vacuum", "warning", "gone (nobody uses it)", "pg_drop_replication_slot('gone')")
def slot_holds_back_vacuum(scene: Scene) -> None:
    scene.facts["slots"] = [
        {"name": "gone", "active": False, "xids": 2_000_000, "wal_bytes": 0},
        {"name": "used", "active": True, "xids": 10, "wal_bytes": 5},
    ]


@fault("slots-and-disk", "warning", "(nobody uses it) keeps", "pg_drop_replication_slot('doctor_")
def slot_keeps_the_log(scene: Scene) -> None:
    scene.limits["warning"] = 0.0
    name = f"doctor_{scene.conn.info.backend_pid}"
    scene.conn.execute("select pg_create_physical_replication_slot(%s, true)", [name])
    scene.stack.callback(scene.conn.execute, "select pg_drop_replication_slot(%s)", [name])


@fault("notifications", "critical", "60 % full", "pg_terminate_backend")
def notifications_pile_up(scene: Scene) -> None:
    scene.facts["health"] = {"notification_queue": 0.6, "oldest_pid": 7}


@fault("connections", "warning", " of ", "max_connections = ")
def connections_run_out(scene: Scene) -> None:
    scene.limits["warning"] = 1e-6


@fault("disk-growth", "warning", "400.0 MB yesterday, 100.0 MB a day before", "keep-finished")
def yesterday_was_large(scene: Scene) -> None:
    def day(ago: int, megabytes: int) -> dict[str, Any]:
        on = datetime.now(UTC).date() - timedelta(days=ago)
        return {"day": on, "size_bytes": megabytes * 2**20, "expired": False, "is_live": False}

    scene.facts["days"] = [day(3, 50), day(2, 150), day(1, 400), day(0, 9), day(-1, 1)]
    assert isinstance(scene.facts["days"][0]["day"], date)


# Work


@fault("upkeep", "critical", "1.0 h ago", "pgq.tick()")
def nobody_does_upkeep(scene: Scene) -> None:
    scene.conn.execute("update pgq.lease_clock set at = at - interval '1 hour'")


@fault("floors", "critical", "1.0 h ago", "pgq.settle()")
def floors_stand_still(scene: Scene) -> None:
    scene.conn.execute("update pgq.mark set noted_at = noted_at - interval '1 hour'")


@fault("repairs", "warning", "1 jobs", "past its verbs")
def rows_were_deleted(scene: Scene) -> None:
    insert(scene.conn)
    scene.conn.execute("delete from pgq.ready")
    answer(scene.conn, "audit_state")


@fault("no-worker", "critical", "alone (1 ready)", "--queues alone")
def nobody_takes_a_queue(scene: Scene) -> None:
    insert(scene.conn, queue="alone")


@fault("unknown-tasks", "warning", "typo in default (2 jobs)", "declares typo")
def nobody_knows_a_task(scene: Scene) -> None:
    insert(scene.conn, 2, task="typo")


@fault("paused-queues", "warning", "default since", "pgq queue resume default")
def queue_stays_paused(scene: Scene) -> None:
    insert(scene.conn)
    answer(scene.conn, "pause", queue="default")


@fault("waiting", "warning", "10.0 min in default", "--queues default")
def job_waits_for_long(scene: Scene) -> None:
    (job,) = insert(scene.conn)
    scene.conn.execute(
        "update pgq.job set created_at = now() - interval '10 minutes' where id = %s", [job]
    )


@fault("silent-workers", "warning", "was heard of 1.0 min ago", "worker echoes's log")
def worker_is_silent(scene: Scene) -> None:
    scene.conn.execute("update pgq.worker set heartbeat_at = now() - interval '1 minute'")


@fault("operations", "warning", "(cancel) stands still", "pgq operation show")
def operation_stands_still(scene: Scene) -> None:
    scene.monkeypatch.setattr(patient, "PAUSE", 0.1)
    insert(scene.conn, 3)
    call(scene.conn, "start_operation", verb="cancel", queue="default")


@fault("tokens", "warning", "shop ends in 2.0 d", "pgq token create shop")
def token_ends_soon(scene: Scene) -> None:
    answer(scene.conn, "create_token", name="shop", hash=bytes(32), scopes=["enqueue"])
    scene.conn.execute(
        "update pgq.token set created_at = now() - interval '1 year',"
        " expires_at = now() + interval '2 days 1 hour'"
    )


@fault("tokens", "warning", "shop ended 3.0 h ago", "pgq token revoke")
def token_ended_in_use(scene: Scene) -> None:
    answer(scene.conn, "create_token", name="shop", hash=bytes(32), scopes=["enqueue"])
    scene.conn.execute(
        "update pgq.token set created_at = now() - interval '1 year',"
        " expires_at = now() - interval '3 hours', last_used_at = now() - interval '4 hours'"
    )


@fault("dead-letters", "warning", "20 by error", "pgq dead groups")
def jobs_die(scene: Scene) -> None:
    scene.sampled("dead", "error", 20)


@fault("lost-leases", "warning", "3 a minute", "pgq workers")
def workers_are_lost(scene: Scene) -> None:
    scene.sampled("failed", "lost", 30)


@fault("crashes", "warning", "4 jobs", "crashed")
def processes_die(scene: Scene) -> None:
    scene.sampled("failed", "crashed", 4)
