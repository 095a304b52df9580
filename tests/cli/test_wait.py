"""`pgq job wait` and `pgq job logs --follow`, beside another process that moves the job."""

from __future__ import annotations

import json
import signal

from cli.conftest import Run, Start
from sql.states import job_in
from sql.support import Conn, answer, call, claim_one, hold, insert, running, value, wait_until


def looks(conn: Conn) -> None:
    """Waits until the other process has asked how the job stands."""
    wait_until(
        lambda: value(
            conn,
            "select count(*) from pg_stat_activity where datname = current_database()"
            " and pid <> pg_backend_pid() and query like '%%get_job%%'",
        ),
        "the command line looks at the job",
    )


def test_waits_until_the_job_has_succeeded(conn: Conn, start: Start) -> None:
    (job,) = insert(conn)
    process = start("job", "wait", job)
    looks(conn)
    assert process.poll() is None
    answer(conn, "complete", **hold(claim_one(conn)), result='{"n": 1.10}')
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, '{"n": 1.10}\n', "")


def test_a_job_that_dies_ends_the_wait_with_code_1(conn: Conn, start: Start) -> None:
    (job,) = insert(conn)
    process = start("job", "wait", job, "--timeout", "1h", "-o", "json")
    looks(conn)
    call(conn, "fail", **hold(claim_one(conn)), error_class="E", message="boom", permanent=True)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (1, f"pgq: job {job} is dead: boom\n")
    assert json.loads(out)["state"] == "dead"


def test_a_cancelled_job_ends_the_wait_with_code_1(conn: Conn, pgq: Run) -> None:
    job = job_in(conn, "cancelled")
    assert f"job {job} is cancelled" in pgq("job", "wait", job, code=1).refusal(1)


def test_waiting_too_long_ends_with_code_6(conn: Conn, pgq: Run) -> None:
    job = job_in(conn, "ready")
    refusal = pgq("job", "wait", job, "--timeout", "20ms", code=6).refusal(6)
    assert f"job {job} is ready: it did not end within 20 ms; it goes on" in refusal


def test_a_result_is_json_for_programs(conn: Conn, pgq: Run) -> None:
    answer(conn, "complete", **hold(running(conn)), result="[1e999]")
    job = value(conn, "select id from pgq.job")
    assert '"result": [1e999]' in pgq("job", "wait", job, "-o", "json").out


def test_an_interrupt_ends_the_wait_with_code_130(conn: Conn, start: Start) -> None:
    process = start("job", "wait", job_in(conn, "ready"))
    looks(conn)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err.strip()) == (130, "", "pgq: interrupted")


def test_follows_a_log_until_the_job_has_ended(conn: Conn, start: Start) -> None:
    lease = running(conn)
    answer(conn, "log", **hold(lease), message="before")
    process = start("job", "logs", lease["id"], "--follow", "-o", "json")
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["message"] == "before"
    answer(conn, "log", **hold(lease), message="while")
    assert json.loads(process.stdout.readline())["message"] == "while"
    assert process.poll() is None
    answer(conn, "log", **hold(lease), message="last")
    answer(conn, "complete", **hold(lease))
    out, err = process.communicate(timeout=60)
    assert json.loads(out)["message"] == "last"
    assert (process.returncode, err) == (0, "")


def test_a_reader_that_leaves_is_no_traceback(conn: Conn, start: Start) -> None:
    lease = running(conn)
    answer(conn, "log", **hold(lease), message="first")
    process = start("job", "logs", lease["id"], "--follow")
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    answer(conn, "log", **hold(lease), message="second")
    assert process.stderr is not None
    assert process.stderr.read() == ""
    assert process.wait(timeout=60) == 1
