"""The units under a systemd that is booted for it: ready, killed, hung, drained.

Needs root and systemd-nspawn, and takes a minute; asked for by PGQ_TEST_BOOTED, as .ci/run does.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

import pgq
import servers
from pgq import schema
from sql.support import Conn, insert, state

pytestmark = pytest.mark.skipif(
    "PGQ_TEST_BOOTED" not in os.environ, reason="only where it is asked for"
)

CHECKOUT = Path(pgq.__file__).parent.parent
UV = str(Path(sys.executable).with_name("uv"))
APP = """
import asyncio
from pgq import App

app = App()

@app.task
async def echo() -> None:
    pass

@app.task
async def nap(seconds: float) -> None:
    await asyncio.sleep(seconds)
"""
QUICK = "[Service]\nWatchdogSec=3\nTimeoutAbortSec=2\nRestartSec=0.2\n"
"""What would take minutes takes seconds."""


class Machine:
    """A container in which systemd runs, with the units of the checkout."""

    def __init__(self, folder: Path, postgres: Path) -> None:
        self._log = (folder / "machine.log").open("wb")
        self._process = subprocess.Popen(
            [
                "systemd-nspawn", "-D", "/", "--volatile=yes", "--boot", "--register=no",
                "--keep-unit", "--private-network", "--console=pipe",
                f"--machine=pgq-test-{os.getpid()}",
                f"--bind-ro={folder}/venv:/opt/pgq", f"--bind-ro={folder}/app:/opt/app",
                f"--bind={postgres}:/opt/postgres", "--",
                # Nothing here has a network to be online.
                "systemd.mask=systemd-networkd-wait-online.service",
                "systemd.mask=systemd-firstboot.service",
            ],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            self._wait()
        except BaseException:
            self.close()
            raise

    def _wait(self) -> None:
        servers.until(lambda: bool(self._find_init()), "it boots")
        self._init = self._find_init()
        running = ("running", "degraded")
        servers.until(
            lambda: self.tell("systemctl", "is-system-running", check=False) in running,
            "systemd is up",
            seconds=60,
        )

    def _find_init(self) -> int:
        path = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        for child in map(int, path.read_text().split()):
            if Path(f"/proc/{child}/comm").read_text().strip() == "systemd":
                return child
        return 0

    def tell(self, *words: str, check: bool = True) -> str:
        """What a command within it says."""
        done = subprocess.run(
            ["nsenter", "-t", str(self._init), "-a", *words],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert not check or done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout.strip()

    def write(self, path: str, text: str) -> None:
        """Put a file into it."""
        script = f"mkdir -p {Path(path).parent}; cat > {path}"
        subprocess.run(
            ["nsenter", "-t", str(self._init), "-a", "sh", "-c", script],
            input=text,
            text=True,
            check=True,
        )

    def shows(self, unit: str, name: str) -> str:
        """A property of a unit."""
        return self.tell("systemctl", "show", unit, f"--property={name}", "--value")

    def journal(self, unit: str) -> str:
        return self.tell("journalctl", "--no-pager", "-o", "cat", "-u", unit, check=False)

    def close(self) -> None:
        """Switch it off."""
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """The program in an environment of the system's Python, and an app, for others to read."""
    with tempfile.TemporaryDirectory(prefix="pgq-booted-", dir="/var/tmp") as made:
        folder = Path(made)
        folder.chmod(0o755)
        venv = folder / "venv"
        subprocess.run(
            [UV, "venv", "--quiet", "--relocatable", "--python", "/usr/bin/python3", venv],
            check=True,
        )
        subprocess.run(
            [UV, "pip", "install", "--quiet", "--python", venv / "bin/python", CHECKOUT],
            check=True,
        )
        (folder / "app").mkdir()
        (folder / "app" / "shop.py").write_text(APP)
        yield folder


def _socket_of(dsn: str) -> Path:
    return Path(str(conninfo_to_dict(dsn)["host"]))


@pytest.fixture(scope="module")
def dsn() -> Iterator[str]:
    with servers.private() as postgres:
        schema.migrate(postgres.dsn)
        # The units' users are nobody whom it knows.
        for path in sorted(_socket_of(postgres.dsn).glob(".s.*")):
            path.chmod(0o777)
        _socket_of(postgres.dsn).chmod(0o755)
        yield postgres.dsn


@pytest.fixture
def conn(dsn: str) -> Iterator[Conn]:
    with psycopg.connect(dsn, autocommit=True) as session:
        yield session


@pytest.fixture(scope="module")
def machine(folder: Path, dsn: str) -> Iterator[Machine]:
    made = Machine(folder, _socket_of(dsn))
    try:
        within = make_conninfo(dsn, host="/opt/postgres")
        settings = f'DATABASE_URL="{within}"\n'
        made.write("/etc/pgq/server.env", settings)
        made.write("/etc/pgq/worker.env", f"{settings}PGQ_WORKER_APP=shop:app\n")
        for kind, unit in (("server", "pgq-server"), ("worker", "pgq-worker@")):
            text = made.tell(
                "/opt/pgq/bin/pgq", "systemd", "print", kind, "--directory", "/opt/app"
            )
            made.write(f"/run/systemd/system/{unit}.service", text)
            made.write(f"/run/systemd/system/{unit}.service.d/quick.conf", QUICK)
        made.tell("systemctl", "daemon-reload")
        yield made
    finally:
        made.close()
        sys.stderr.write((folder / "machine.log").read_text(errors="replace")[-4000:])


@pytest.fixture
def worker(machine: Machine) -> Iterator[str]:
    """A worker's unit that is ready."""
    unit = "pgq-worker@one"
    machine.tell("systemctl", "reset-failed", unit, check=False)
    try:
        machine.tell("systemctl", "start", unit)
        yield unit
        machine.tell("systemctl", "stop", unit)
    finally:
        sys.stderr.write(machine.journal(unit)[-4000:])


def restarts(machine: Machine, unit: str) -> int:
    return int(machine.shows(unit, "NRestarts"))


def ends(conn: Conn, job: int, expected: str = "succeeded") -> None:
    servers.until(lambda: state(conn, job) == expected, f"job {job} {expected}", seconds=60)


def main_pid(machine: Machine, unit: str) -> str:
    return machine.shows(unit, "MainPID")


def test_unit_is_started_once_the_worker_has_registered(
    machine: Machine, worker: str, conn: Conn
) -> None:
    assert machine.shows(worker, "ActiveState") == "active"
    servers.until(lambda: "claiming" in machine.shows(worker, "StatusText"), "the status line")
    (found,) = conn.execute("select name, state from pgq.list_workers()").fetchall()[-1:]
    assert str(found[0]).endswith("-one")
    (job,) = insert(conn)
    ends(conn, job)


def test_worker_that_is_killed_is_started_again(machine: Machine, worker: str, conn: Conn) -> None:
    before = restarts(machine, worker)
    machine.tell("systemctl", "kill", "--kill-whom=main", "--signal=KILL", worker)
    servers.until(lambda: restarts(machine, worker) == before + 1, "it is started again")
    (job,) = insert(conn)
    ends(conn, job)


def test_worker_that_hangs_is_found_by_the_watchdog(
    machine: Machine, worker: str, conn: Conn
) -> None:
    before = restarts(machine, worker)
    machine.tell("kill", "-STOP", main_pid(machine, worker))
    servers.until(
        lambda: restarts(machine, worker) == before + 1, "it is started again", seconds=60
    )
    assert "Watchdog timeout" in machine.journal(worker)
    (job,) = insert(conn)
    ends(conn, job)


def test_worker_whose_child_hangs_is_found_by_the_watchdog(
    machine: Machine, worker: str, conn: Conn
) -> None:
    before = restarts(machine, worker)
    machine.tell("pkill", "-STOP", "-P", main_pid(machine, worker))
    servers.until(
        lambda: restarts(machine, worker) == before + 1, "it is started again", seconds=60
    )
    (job,) = insert(conn)
    ends(conn, job)


def test_stop_lets_a_running_job_end(machine: Machine, worker: str, conn: Conn) -> None:
    (job,) = insert(conn, task="nap", payload="[2]")
    ends(conn, job, "running")
    began_at = time.monotonic()
    machine.tell("systemctl", "stop", worker)
    assert state(conn, job) == "succeeded"
    assert time.monotonic() - began_at < 12
    assert machine.shows(worker, "Result") == "success"
    states: list[Any] = conn.execute("select state from pgq.list_workers()").fetchall()
    assert states[-1] == ("offline",)


def test_setting_that_makes_no_sense_is_not_tried_again(machine: Machine) -> None:
    unit = "pgq-worker@odd"
    machine.write("/etc/pgq/worker-odd.env", "PGQ_WORKER_PROCESSES=none\n")
    machine.tell("systemctl", "start", unit, check=False)
    servers.until(lambda: machine.shows(unit, "ActiveState") == "failed", "it has failed")
    assert restarts(machine, unit) == 0
    assert "PGQ_WORKER_PROCESSES is 'none'" in machine.journal(unit)


def test_server_is_ready_killed_hung_and_stopped(machine: Machine) -> None:
    unit = "pgq-server"
    machine.tell("systemctl", "start", unit)
    assert machine.shows(unit, "StatusText") == "serving http://127.0.0.1:8080/"
    machine.tell("systemctl", "kill", "--kill-whom=main", "--signal=KILL", unit)
    servers.until(lambda: restarts(machine, unit) == 1, "it is started again")
    servers.until(lambda: machine.shows(unit, "ActiveState") == "active", "it is ready")
    machine.tell("kill", "-STOP", main_pid(machine, unit))
    servers.until(lambda: restarts(machine, unit) == 2, "it is started again", seconds=60)
    servers.until(lambda: machine.shows(unit, "ActiveState") == "active", "it is ready")
    machine.tell("systemctl", "stop", unit)
    assert machine.shows(unit, "Result") == "success"
