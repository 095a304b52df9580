"""`pgq doctor`."""

from __future__ import annotations

import pytest

from cli.conftest import Run
from pgq import doctor
from sql.support import Conn, answer, insert, register, settle

SKIP = ("--skip", "durability")


@pytest.fixture(autouse=True)
def well(conn: Conn) -> None:
    register(conn, "default")
    conn.execute("call pgq.tick()")
    settle(conn)


def test_all_in_order_is_0(pgq: Run) -> None:
    done = pgq("doctor", *SKIP)
    assert done.out == f"{len(doctor.checks()) - 1} ok\n"


def test_warning_is_7(conn: Conn, pgq: Run) -> None:
    conn.execute("alter table pgq.ready set (autovacuum_enabled = off)")
    done = pgq("doctor", *SKIP, code=7)
    assert done.out.startswith("warning   autovacuum-tables: not as they should be: ready\n")
    assert "          alter table pgq.ready set" in done.out
    assert done.out.endswith(" ok, 1 warning\n")


def test_critical_is_8(conn: Conn, pgq: Run) -> None:
    insert(conn, queue="alone")
    answer(conn, "pause", queue="default")
    insert(conn)
    done = pgq("doctor", *SKIP, code=8)
    assert "critical  no-worker: alone (1 ready)" in done.out
    assert "warning   paused-queues" in done.out


def test_what_cannot_be_looked_at_is_7(pgq: Run, empty_dsn: str) -> None:
    assert pgq("doctor", "upkeep", code=7, database=empty_dsn).out.startswith("unknown   upkeep")


def test_database_that_does_not_answer_is_told_once(pgq: Run) -> None:
    done = pgq("doctor", code=8, database="host=127.0.0.1 port=1 password=canary user=u")
    assert done.out.count("does not answer") == 1
    assert done.out.startswith("critical  connection: ")
    assert "canary" not in done.out


def test_one_check_alone(pgq: Run) -> None:
    done = pgq("doctor", "upkeep", "-v")
    assert done.out.startswith("ok        upkeep: ")
    assert done.out.endswith("1 ok\n")


def test_programs_get_all_of_it(conn: Conn, pgq: Run) -> None:
    insert(conn, queue="alone")
    found = {each["check"]: each for each in pgq("doctor", "-o", "json", code=8).json}
    assert list(found) == list(doctor.checks())
    alone = found["no-worker"]
    assert (alone["verdict"], alone["figure"], alone["critical"]) == ("critical", 1.0, 1)
    assert alone["evidence"] == "alone (1 ready)"
    assert "--queues alone" in alone["mend"]
    assert found["upkeep"]["mend"] is None


@pytest.mark.parametrize("words", [["nonsense"], ["--skip", "nonsense"]])
def test_unknown_check_is_refused(pgq: Run, words: list[str]) -> None:
    assert "no check 'nonsense'" in pgq("doctor", *words, code=2).refusal(2)
