"""PgBouncer in transaction mode, before the servers of the tests, when PGQ_TEST_POOLED is set."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pgq import binaries

WANTED = "PGQ_TEST_POOLED" in os.environ
CONFIG = """
[databases]
* = host={host} port={port} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {own}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 20
max_client_conn = 500
"""
STARTS = 10.0


class Poolers:
    """One PgBouncer for each server; all end with this object."""

    def __init__(self) -> None:
        self._ports: dict[tuple[str, str], int] = {}
        self._processes: list[subprocess.Popen[bytes]] = []
        self._folder = Path(tempfile.mkdtemp(prefix="pgq-pooler-"))
        self._folder.chmod(0o711)

    def through(self, dsn: str) -> str:
        """The same database through a PgBouncer."""
        facts = conninfo_to_dict(dsn)
        server = (str(facts.get("host") or "127.0.0.1"), str(facts.get("port") or 5432))
        if server not in self._ports:
            self._ports[server] = self._start(*server)
        return make_conninfo(dsn, host="127.0.0.1", port=self._ports[server])

    def close(self) -> None:
        for process in self._processes:
            process.terminate()
            process.wait()
        shutil.rmtree(self._folder)

    def _start(self, host: str, port: str) -> int:
        program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
        assert program, "PGQ_TEST_POOLED needs PgBouncer; Debian has it in pgbouncer"
        with socket.create_server(("127.0.0.1", 0)) as free:
            own = int(free.getsockname()[1])
        config = self._folder / f"{own}.ini"
        config.write_text(CONFIG.format(host=host, port=port, own=own))
        config.chmod(0o644)
        user = binaries.account()
        process = subprocess.Popen(
            [program, "-q", config],
            user=user.pw_uid if user else None,
            group=user.pw_gid if user else None,
            extra_groups=[] if user else None,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._processes.append(process)
        deadline = time.monotonic() + STARTS
        while True:
            try:
                socket.create_connection(("127.0.0.1", own)).close()
            except ConnectionRefusedError:
                assert time.monotonic() < deadline, "PgBouncer does not start"
                time.sleep(0.05)
            else:
                return own


_poolers: list[Poolers] = []


@contextmanager
def poolers() -> Iterator[None]:
    """While the context is open `through` leads through PgBouncer, if that is wanted."""
    if not WANTED:
        yield
        return
    _poolers.append(Poolers())
    try:
        yield
    finally:
        _poolers.pop().close()


def through(dsn: str) -> str:
    """What a worker, a server or a client of the queue is given for its connection string."""
    return _poolers[-1].through(dsn) if _poolers else dsn


def session_through(
    session: psycopg.Connection[tuple[object, ...]],
) -> psycopg.Connection[tuple[object, ...]]:
    """Another session with the same database, through PgBouncer; it belongs to the caller."""
    direct = make_conninfo(session.info.dsn, password=session.info.password or None)
    return psycopg.connect(through(direct), autocommit=True, prepare_threshold=None)
