"""`pgq dev`: one command to see a job run, and nothing left of it."""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

import processes
import servers
from processes import Command

pytestmark = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path that the user of Postgres can enter."""
    with tempfile.TemporaryDirectory(prefix="pgq-dev-") as name:
        Path(name).chmod(0o711)
        yield Path(name)


def embedded(folder: Path) -> dict[str, str]:
    """The environment in which the embedded Postgres is used."""
    named = servers.own_binaries()
    return {"PGQ_DATA_DIR": str(folder), **({"PGQ_POSTGRES_BIN": str(named)} if named else {})}


def dsn_of(command: Command) -> str:
    return command.said(r"The database is (\S+)\.\n")[1]


def test_the_printed_line_in_a_shell_is_seen_to_run(folder: Path) -> None:
    with processes.running(folder, "dev", **embedded(folder)) as dev:
        line = dev.said(r"\n +(\S*psql .*)\n")[1]
        if shlex.split(line)[0] == "psql" and not _has_psql():
            pytest.skip("no psql on this machine")
        subprocess.run(["/bin/sh", "-c", line], check=True, capture_output=True)
        dev.said(r"echo 42 .*task=echo")


def test_the_dashboard_is_where_it_says(folder: Path, empty_dsn: str) -> None:
    with processes.running(folder, "dev", "--port", "0", DATABASE_URL=empty_dsn) as dev:
        url = dev.said(r"The dashboard is (\S+/)\n")[1]
        answer = httpx.post(f"{url}api/v1/jobs", json={"task": "echo", "payload": [43]})
        assert answer.status_code == 201
        dev.said(r"echo 43 .*task=echo")
        assert httpx.get(url, follow_redirects=True).headers["content-type"].startswith("text/html")
        os.kill(dev.process.pid, signal.SIGTERM)
        assert dev.ended() == 0


def test_data_from_between_two_releases_are_one_line(folder: Path, dsn: str) -> None:
    """The embedded Postgres's folder is named; of another database it is said what to drop."""
    with processes.running(folder, "dev", **embedded(folder)) as dev:
        run(dsn_of(dev))
        os.kill(dev.process.pid, signal.SIGTERM)
        dev.ended()
    with processes.running(folder, "dev", **embedded(folder)) as dev:
        assert dev.ended() == 4
        assert f"Delete {folder} with all its jobs" in dev.output
        assert "Traceback" not in dev.output
    run(dsn)
    with processes.running(folder, "dev", DATABASE_URL=dsn) as dev:
        assert dev.ended() == 4
        assert "`drop schema pgq cascade`" in dev.output


def run(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as session:
        session.execute("update pgq.migration set digest = 'another'")


def test_a_port_that_is_wanted_and_taken_is_one_line(folder: Path, dsn: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with processes.running(folder, "dev", "--port", port, DATABASE_URL=dsn) as dev:
            assert dev.ended() == 2
            assert f"cannot listen on 127.0.0.1, port {port}" in dev.output
            assert "Traceback" not in dev.output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_process_is_left_however_it_ends(folder: Path, number: signal.Signals) -> None:
    with processes.running(folder, "dev", **embedded(folder)) as dev:
        dsn = dsn_of(dev)
        with psycopg.connect(dsn, autocommit=True) as session:
            session.execute("insert into pgq.job (task) values ('echo')")
        dev.said("task=echo")
        commands = " ".join(dev.family().values())
        assert "pgq_worker.child" in commands
        assert "postgres" in commands
        os.kill(dev.process.pid, number)
        dev.ended()
        processes.wait(lambda: not dev.family())
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(dsn)


def test_an_interrupted_job_goes_back_uncharged(folder: Path) -> None:
    with processes.running(folder, "dev", **embedded(folder)) as dev:
        with psycopg.connect(dsn_of(dev), autocommit=True) as session:
            session.execute(
                "insert into pgq.job (task, payload) values ('email', '{\"seconds\": 600}')"
            )
            processes.wait(lambda: _states(session) == {("email", "running", 1)})
        os.kill(dev.process.pid, signal.SIGINT)
        dev.ended()
    with (
        processes.running(folder, "dev", **embedded(folder)) as dev,
        psycopg.connect(dsn_of(dev), autocommit=True) as session,
    ):
        processes.wait(lambda: _states(session) == {("email", "running", 1)})


def test_a_database_that_is_named_is_used_and_left_running(folder: Path, empty_dsn: str) -> None:
    with processes.running(folder, "dev", DATABASE_URL=empty_dsn) as dev:
        line = dev.said(r"\n +(\S*psql .*)\n")[1]
        assert '"$DATABASE_URL"' in line
        dev.said("registered")
        assert not any("postgres -D" in command for command in dev.family().values())
        os.kill(dev.process.pid, signal.SIGTERM)
        assert dev.ended() == 0
        processes.wait(lambda: not dev.family())
    with psycopg.connect(empty_dsn) as session:
        assert session.execute("select state from pgq.worker").fetchall() == [("offline",)]


def test_another_app_runs_in_its_place(folder: Path, dsn: str) -> None:
    (folder / "shop.py").write_text(
        "from pgq import App\n"
        "app = App()\n"
        "@app.task\n"
        "def greet(name): print(f'hello, {name}', flush=True)\n"
    )
    with (
        processes.running(folder, "dev", "-a", "shop:app", DATABASE_URL=dsn) as dev,
        psycopg.connect(dsn, autocommit=True) as session,
    ):
        session.execute("insert into pgq.job (task, payload) values ('greet', '[\"Ada\"]')")
        dev.said("hello, Ada")


def test_the_example_tasks_run_from_bare_inserts(folder: Path, dsn: str) -> None:
    tasks = ["email", "fail", "cpu_intensive", "io_intensive", "network_intensive", "echo", "other"]
    with (
        processes.running(folder, "dev", DATABASE_URL=dsn) as dev,
        psycopg.connect(dsn, autocommit=True) as session,
    ):
        for task in tasks:
            session.execute("insert into pgq.job (task, max_attempts) values (%s, 1)", [task])
        session.execute("insert into pgq.job (task, payload) values ('cpu_intensive', '\"test\"')")
        processes.wait(lambda: not any(s in ("ready", "running") for _, s, _ in _states(session)))
        ended = {(task, "dead" if task == "fail" else "succeeded", 1) for task in tasks}
        assert _states(session) == ended, dev.output


def test_an_app_that_is_not_there_is_one_line(folder: Path, dsn: str) -> None:
    with processes.running(folder, "dev", "-a", "no_such_module:app", DATABASE_URL=dsn) as dev:
        assert dev.ended() == 2
        assert re.search(r"^pgq: .*no_such_module", dev.output, re.MULTILINE)
        assert "Traceback" not in dev.output


def _states(session: psycopg.Connection[tuple[object, ...]]) -> set[tuple[object, ...]]:
    return set(session.execute("select task, state, attempt from pgq.job_status").fetchall())


def _has_psql() -> bool:
    return not subprocess.run(["/bin/sh", "-c", "command -v psql"], check=False).returncode
