"""PgBouncer in transaction mode, before a server."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from faults.row import NotPlayable
from pgq import binaries

CONFIG = """
[databases]
* = host={host} port={port} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {own}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {size}
max_client_conn = {clients}
"""
STARTS = 10.0


class Pooler:
    """Runs while the context is open; `dsn` leads through it."""

    def __init__(self, dsn: str, *, size: int = 20, clients: int = 500) -> None:
        """Raises `NotPlayable` where there is none."""
        program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
        if not program:
            raise NotPlayable("PgBouncer is needed: apt-get install pgbouncer")
        facts = conninfo_to_dict(dsn)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = int(free.getsockname()[1])
        self._folder = Path(tempfile.mkdtemp(prefix="pgq-pooler-"))
        self._folder.chmod(0o711)
        config = self._folder / "pgbouncer.ini"
        config.write_text(
            CONFIG.format(
                host=facts.get("host") or "127.0.0.1",
                port=facts.get("port") or 5432,
                own=self._port,
                size=size,
                clients=clients,
            )
        )
        config.chmod(0o644)
        self._command = [program, "-q", str(config)]
        self.dsn = make_conninfo(dsn, host="127.0.0.1", port=self._port)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start it, and wait until it accepts connections."""
        user = binaries.account()
        self._process = subprocess.Popen(
            self._command,
            user=user.pw_uid if user else None,
            group=user.pw_gid if user else None,
            extra_groups=[] if user else None,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + STARTS
        while True:
            try:
                socket.create_connection(("127.0.0.1", self._port)).close()
            except ConnectionRefusedError:
                if time.monotonic() > deadline:
                    raise AssertionError("PgBouncer does not start") from None
                time.sleep(0.05)
            else:
                return

    def stop(self) -> None:
        """Cut off all who use it."""
        self._process.terminate()
        self._process.wait()
        shutil.rmtree(self._folder)
