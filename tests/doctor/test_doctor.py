"""Each check fires when its fault is made, and is silent when all is in order."""

from __future__ import annotations

import os
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

import pgq
from doctor.ailments import FAULTS, Fault, Scene
from pgq import config, doctor
from pgq.doctor import Diagnosis, Patient
from pgq.doctor.patient import masked
from sql.support import Conn, insert

NAMES = list(doctor.checks())
NOT_OURS = {"durability"}
"""Servers of the tests do not sync."""


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_fault_is_found_with_what_mends_it(scene: Scene, fault: Fault) -> None:
    fault.make(scene)
    found = scene.look(fault.check)
    assert found.verdict == fault.verdict, found
    assert fault.says in found.evidence
    assert found.mend is not None
    assert fault.mend in found.mend
    assert "{" not in found.mend
    assert "canary" not in found.evidence
    assert "1234567" not in found.evidence


def test_every_check_has_a_fault() -> None:
    assert {fault.check for fault in FAULTS} == set(NAMES)


def test_there_are_enough_checks() -> None:
    assert len(NAMES) >= 25


@pytest.fixture(scope="module")
def healthy(well: str) -> dict[str, Diagnosis]:
    patient = Patient(config.load({"database_url": well}))
    try:
        return {each.check.name: each for each in doctor.examine(patient)}
    finally:
        patient.close()


@pytest.mark.parametrize("name", [name for name in NAMES if name not in NOT_OURS])
def test_check_is_silent_when_all_is_in_order(healthy: dict[str, Diagnosis], name: str) -> None:
    found = healthy[name]
    assert (found.verdict, found.mend) == ("ok", None), found
    assert found.evidence


def test_durable_server_is_in_order(scene: Scene) -> None:
    scene.facts["server_settings"] = {"fsync": "on", "full_page_writes": "on"}
    assert scene.look("durability").verdict == "ok"


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("tls", {"host": "127.0.0.1"}),
        ("tls", {"host": "::1"}),
        ("tls", {"host": "/run/postgresql"}),
        ("tls", {"host": "192.0.2.1", "is_encrypted": True}),
        ("disk-growth", {"days": []}),
        ("slots-and-vacuum", {"slots": []}),
    ],
)
def test_check_is_silent_where_there_is_nothing(
    scene: Scene, name: str, facts: dict[str, object]
) -> None:
    scene.facts.update(facts)
    assert scene.look(name).verdict == "ok"


def test_paused_queue_needs_no_worker(scene: Scene) -> None:
    insert(scene.conn, queue="alone")
    scene.conn.execute("select pgq.pause('alone')")
    assert scene.look("no-worker").verdict == "ok"


def test_paused_queue_without_jobs_is_in_order(scene: Scene) -> None:
    scene.conn.execute("select pgq.pause('default')")
    assert scene.look("paused-queues").verdict == "ok"


def test_expired_day_with_an_unfinished_job_is_kept_rightly(scene: Scene) -> None:
    from sql.support import day_of_ids

    for ago in (42, 41, 40):
        day_of_ids(scene.conn, ago)
        insert(scene.conn)
    assert scene.look("expired-days").verdict == "ok"


def test_operation_that_gets_on_is_in_order(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    from pgq.doctor import patient

    insert(scene.conn, 3)
    scene.conn.execute("select pgq.start_operation('cancel', p_queue => 'default')")
    monkeypatch.setattr(patient.time, "sleep", lambda _: scene.conn.execute("call pgq.tick()"))
    assert scene.look("operations").verdict == "ok"


# Who looks


@pytest.fixture
def member(scene: Scene) -> str:
    """Connection string of a plain role; `grant` gives it more."""
    name = f"pgq_test_doctor_{os.getpid()}"
    scene.conn.execute(f"create role {name} login".encode())
    scene.stack.callback(scene.conn.execute, f"drop role {name}".encode())
    other = make_conninfo(scene.dsn, user=name)
    try:
        psycopg.connect(other).close()
    except psycopg.OperationalError:
        pytest.skip("this server asks for passwords")
    return name


def test_viewer_can_make_every_check(scene: Scene, member: str) -> None:
    scene.conn.execute(f"grant pgq_viewer to {member}".encode())
    patient = Patient(config.load({"database_url": make_conninfo(scene.dsn, user=member)}))
    found = {each.check.name: each.verdict for each in doctor.examine(patient)}
    patient.close()
    assert [name for name, verdict in found.items() if verdict == "unknown"] == []


def test_what_may_not_be_seen_is_unknown(scene: Scene, member: str) -> None:
    scene.dsn = make_conninfo(scene.dsn, user=member)
    found = scene.look("upkeep")
    assert found.verdict == "unknown"
    assert "permission denied" in found.evidence


def test_old_transaction_of_somebody_else_is_told_without_its_statement(
    scene: Scene, member: str
) -> None:
    scene.conn.execute(f"grant pgq_viewer to {member}".encode())
    scene.limits["warning"] = 0.0
    session = scene.another_session(autocommit=False)
    session.execute("select 'canary'")
    scene.facts["health"] = {
        "oldest_pid": session.info.backend_pid, "oldest_seconds": 400.0, "oldest_user": "app",
        "oldest_application": "report", "oldest_state": "active",
    }  # fmt: skip
    scene.dsn = make_conninfo(scene.dsn, user=member)
    found = scene.look("old-transactions")
    assert f"pid {session.info.backend_pid} of app (report), active" in found.evidence
    assert "select" not in found.evidence


def test_database_without_the_schema_is_critical_or_unknown(scene: Scene, empty_dsn: str) -> None:
    scene.dsn = empty_dsn
    assert scene.look("schema-version").verdict == "unknown"
    assert scene.look("connection").verdict == "ok"


def test_looking_changes_nothing(well: str) -> None:
    def rows(conn: Conn) -> list[object]:
        tables = conn.execute(
            "select c.oid::regclass::text from pg_class c"
            " where c.relnamespace = 'pgq'::regnamespace and c.relkind = 'r' order by 1"
        ).fetchall()
        return [
            (
                name,
                *conn.execute(f"select count(*), max(xmin::text) from {name}".encode()).fetchone(),
            )  # type: ignore[misc]
            for (name,) in tables
        ]

    with psycopg.connect(well, autocommit=True) as conn:
        before = rows(conn)
        patient = Patient(config.load({"database_url": well}))
        assert len(list(doctor.examine(patient))) == len(NAMES)
        patient.close()
        assert rows(conn) == before


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        (
            "select * from t where a = 'it''s canary' and b = 42",
            "select * from t where a = ? and b = ?",
        ),
        (r"select E'it\'s canary', 1.5e3", "select ?, ?"),
        ("select $$canary$$, $a$ca'nary$a$ , $1", "select ?, ? , $1"),
        ("/* don't */ select 'canary' -- it's\n, x1", "select ? , x1"),
        ("select \"it's\", 'canary'", 'select "it\'s", ?'),
        ("insert into t values ('cut off can", "insert into t values (?"),
        ("select $a$ cut off can", "select ?"),
        ("  select\n  1", "select ?"),
    ],
)
def test_statements_are_shown_without_literals(query: str, shown: str) -> None:
    assert masked(query) == shown


def test_every_check_is_described() -> None:
    page = (Path(pgq.__file__).parent.parent / "docs" / "doctor.md").read_text()
    assert [line[3:] for line in page.splitlines() if line.startswith("## ")] == NAMES
