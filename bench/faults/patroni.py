"""Three servers that Patroni keeps: one leads, a synchronous standby takes over when it dies."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import psycopg

from faults.row import NotPlayable
from faults.stage import Stage
from pgq import binaries
from pgq_bench.server import opened, value

NODES = 3
UP = 60.0
"""Seconds in which the servers are up, and one that was killed follows again."""
TAKEN_OVER = 90.0
"""Seconds that Patroni may take to find out that the leader is dead, and to promote another."""
TIMES = {"ttl": 20, "loop_wait": 5, "retry_timeout": 5}
"""Seconds: Patroni's smallest that are sound; the leader's key outlives it by the first."""
NEEDED = (
    "the full form needs etcd (apt-get install etcd-server) and patroni on the PATH "
    "(/usr/bin/python3 -m venv DIR && DIR/bin/pip install 'patroni[etcd3]' 'psycopg[binary]'), "
    "where the user as whom Postgres runs can reach it"
)


class Node:
    """One server and the Patroni that keeps it."""

    def __init__(self, number: int, folder: Path) -> None:
        self.name = f"node{number}"
        self.folder = folder / self.name
        self.port, self.api = _free_port(), _free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def dsn(self) -> str:
        """Of this one, whatever it is."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres?connect_timeout=2"

    def kill(self) -> None:
        """Kill both at once."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
        with suppress(OSError):
            pid = int((self.folder / "data" / "postmaster.pid").read_text().split("\n", 1)[0])
            os.kill(pid, signal.SIGKILL)


class Patroni:
    """Takes the place of the stage's server. `dsn` leads to whichever leads."""

    def __init__(self, stage: Stage, *, synchronous: bool, bin_dir: Path | None) -> None:
        """Raises `NotPlayable` where it is not installed."""
        self._stage, self._synchronous = stage, synchronous
        self._folder = stage.folder / "patroni"
        self._folder.mkdir(mode=0o711)
        self._programs, self._user = binaries.find(bin_dir, copies=self._folder)
        self._patroni = self._found("patroni", Path(sys.executable).parent / "patroni")
        etcd = self._found("etcd")
        self._etcd_port = _free_port()
        self._nodes = [Node(number, self._folder) for number in range(1, NODES + 1)]
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in self._nodes)
        self.dsn = (
            f"postgresql://postgres@{hosts}/pgq?target_session_attrs=read-write&connect_timeout=2"
        )
        self._etcd = self._start_etcd(etcd)
        try:
            for node in self._nodes:
                self._configure(node)
                self._start(node)
            self._wait(self._is_whole, UP, "the servers do not come up")
            with psycopg.connect(self._leader().dsn, autocommit=True) as session:
                session.execute("create database pgq")
            stage.move_to(self.dsn)
        except BaseException:
            self.close()
            raise

    def cut(self) -> float:
        """The standbys hear no more of the leader; when it was so."""
        leader = self._leader()
        self._deaf: list[int] = []
        for node in self._nodes:
            if node is not leader:
                with opened(node.dsn) as session:
                    receiver = value(
                        session,
                        "select pid from pg_stat_activity where backend_type = 'walreceiver'",
                    )
                os.kill(receiver, signal.SIGSTOP)
                self._deaf.append(int(receiver))
        return time.time()

    def fail_over(self) -> float:
        """Kill the leader, server and Patroni; when another had taken over."""
        self._dead = self._leader()
        self._dead.kill()
        for receiver in self._deaf:
            with suppress(ProcessLookupError):
                # What is on its way to it stays there.
                os.kill(receiver, signal.SIGTERM)
                os.kill(receiver, signal.SIGCONT)
        self._wait(self._takes_writes, TAKEN_OVER, "nobody takes over")
        return time.time()

    def rebuild(self) -> None:
        """The one that was killed comes back and follows."""
        self._start(self._dead)
        self._wait(self._is_whole, UP, "it does not come back")

    def close(self) -> None:
        """Stop everything."""
        for node in self._nodes:
            node.kill()
        self._etcd.kill()
        self._etcd.wait()

    # What it is like

    def _members(self) -> list[Mapping[str, Any]]:
        for node in self._nodes:
            with (
                suppress(OSError, ValueError),
                urlopen(f"http://127.0.0.1:{node.api}/cluster", timeout=2) as answer,
            ):
                return list(json.load(answer)["members"])
        return []

    def _leader(self) -> Node:
        leaders = {member["name"] for member in self._members() if member["role"] == "leader"}
        for node in self._nodes:
            if node.name in leaders:
                return node
        raise AssertionError(f"nobody leads: {self._members()}")

    def _is_whole(self) -> bool:
        members = self._members()
        roles = [member["role"] for member in members]
        wanted = 1 if self._synchronous else 0
        return (
            sum(member["state"] in ("running", "streaming") for member in members) == NODES
            and roles.count("leader") == 1
            and roles.count("sync_standby") >= wanted
        )

    def _takes_writes(self) -> bool:
        for node in self._nodes:
            if node is not self._dead:
                with suppress(psycopg.OperationalError), psycopg.connect(node.dsn) as session:
                    row = session.execute("select pg_is_in_recovery()").fetchone()
                    if row == (False,):
                        return True
        return False

    def _wait(self, condition: Callable[[], bool], patience: float, otherwise: str) -> None:
        if not self._stage.wait_until(condition, patience):
            said = [(self._folder / f"{node.name}.log").read_text()[-2000:] for node in self._nodes]
            raise AssertionError("\n".join([otherwise, *said]))

    # How it is started

    def _found(self, program: str, beside: Path | None = None) -> str:
        path = shutil.which(program) or (beside and str(beside))
        try:
            if path and binaries.run([path, "--version"], user=self._user).returncode == 0:
                return path
        except OSError:
            pass
        raise NotPlayable(NEEDED)

    def _start_etcd(self, etcd: str) -> subprocess.Popen[bytes]:
        client = f"http://127.0.0.1:{self._etcd_port}"
        peer = f"http://127.0.0.1:{_free_port()}"
        return self._run(
            "etcd",
            [
                *(etcd, "--data-dir", str(self._owned("etcd"))),
                *("--listen-client-urls", client, "--advertise-client-urls", client),
                *("--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer),
                *("--initial-cluster", f"default={peer}"),
            ],
        )

    def _configure(self, node: Node) -> None:
        settings = {
            **{"unix_socket_directories": "", "wal_log_hints": "on", "max_wal_senders": "10"},
            **self._stage.outcome.row.settings,
        }
        config = {
            "scope": "faults",
            "name": node.name,
            "restapi": _address(node.api),
            "etcd3": {"hosts": f"127.0.0.1:{self._etcd_port}"},
            "bootstrap": {
                "dcs": {
                    **TIMES,
                    "synchronous_mode": self._synchronous,
                    "synchronous_mode_strict": self._synchronous,
                    "postgresql": {"use_pg_rewind": True, "parameters": settings},
                },
                "initdb": [{"encoding": "UTF8"}, {"locale": "C"}, "data-checksums"],
            },
            "postgresql": {
                **_address(node.port),
                "data_dir": str(self._owned(node.name) / "data"),
                "bin_dir": str(self._programs.folder),
                "pgpass": str(node.folder / "pgpass"),
                "authentication": {
                    kind: {"username": "postgres"} for kind in ("superuser", "replication")
                },
                "pg_hba": [
                    f"host {database} all 127.0.0.1/32 trust" for database in ("all", "replication")
                ],
                "remove_data_directory_on_rewind_failure": True,
                "remove_data_directory_on_diverged_timelines": True,
            },
        }
        (self._folder / f"{node.name}.json").write_text(json.dumps(config))

    def _start(self, node: Node) -> None:
        file = self._folder / f"{node.name}.json"
        node.process = self._run(node.name, [self._patroni, str(file)])

    def _run(self, name: str, command: Sequence[str]) -> subprocess.Popen[bytes]:
        with (self._folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                command,
                **_as(self._user),
                env={**os.environ, "LC_ALL": "C"},
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _owned(self, name: str) -> Path:
        folder = self._folder / name
        folder.mkdir(mode=0o700)
        if self._user:
            os.chown(folder, self._user.pw_uid, self._user.pw_gid)
        return folder


def _as(user: pwd.struct_passwd | None) -> dict[str, Any]:
    if user is None:
        return {}
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _address(port: int) -> dict[str, str]:
    return {"listen": f"127.0.0.1:{port}", "connect_address": f"127.0.0.1:{port}"}


def _free_port() -> int:
    with socket.socket() as end:
        end.bind(("127.0.0.1", 0))
        return int(end.getsockname()[1])
