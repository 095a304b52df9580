"""What the server tells systemd."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from serving import serving

import processes
from pgq import schema
from pgq.postgres import Postgres


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    """The socket on which systemd hears its services."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ours:
        ours.bind(str(tmp_path / "notify"))
        ours.settimeout(processes.PATIENCE)
        yield ours


def heard(systemd: socket.socket, *words: str) -> str:
    """Wait for a line that begins like one of these."""
    while True:
        for line in systemd.recv(4096).decode().split("\n"):
            if line.startswith(words):
                return line


def test_systemd_is_told_of_readiness_life_and_end(
    tmp_path: Path, dsn: str, systemd: socket.socket
) -> None:
    told = {"NOTIFY_SOCKET": systemd.getsockname(), "WATCHDOG_USEC": "200000"}
    with serving(tmp_path / "server", dsn, **told) as service:
        message = systemd.recv(4096).decode()
        assert message == f"READY=1\nSTATUS=serving {service.url}/"
        heard(systemd, "WATCHDOG=1")
        service.command.process.send_signal(signal.SIGTERM)
        heard(systemd, "STOPPING=1")
        assert service.command.ended() == 0


def test_systemd_is_not_told_of_life_while_the_database_is_away(
    tmp_path: Path, private_server: Postgres, systemd: socket.socket
) -> None:
    schema.migrate(private_server.dsn)
    told = {"NOTIFY_SOCKET": systemd.getsockname(), "WATCHDOG_USEC": "200000"}
    with serving(tmp_path / "server", private_server.dsn, **told):
        heard(systemd, "WATCHDOG=1")
        private_server.stop("immediate")
        heard(systemd, "STATUS=the database has not answered for")
        lines = [heard(systemd, "WATCHDOG", "STATUS") for _ in range(3)]
        assert all(line.startswith("STATUS=the database has not") for line in lines)
        private_server.start()
        heard(systemd, "WATCHDOG=1")
        heard(systemd, "STATUS=serving")


def test_nobody_is_told_without_systemd(tmp_path: Path, dsn: str) -> None:
    with serving(tmp_path / "server", dsn) as service:
        assert service.client().get("/healthz").status_code == 200
