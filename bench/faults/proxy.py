"""Stands between a worker and the database, and lets it be cut off.

What is held back arrives when the line is healed; what is reset is gone. A frozen line is how a
client sees packets that vanish: no answer, no end, no error.
"""

from __future__ import annotations

import random
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from psycopg.conninfo import conninfo_to_dict, make_conninfo

CHUNK = 65536


class Line:
    """One client's connection: two directions, each a thread."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self._sides = (client, server)
        self._flows = threading.Event()
        self._flows.set()
        self.listens = False
        """Whether a LISTEN went through it."""
        self.ended = False
        self._answers = True
        self.cut = False
        """Whether an answer was swallowed, and the connection reset in its place."""
        for source, target in ((client, server), (server, client)):
            threading.Thread(target=self._pump, args=(source, target), daemon=True).start()

    def freeze(self) -> None:
        """Nothing arrives any more, either way."""
        self._flows.clear()

    def heal(self) -> None:
        """What was held back arrives."""
        self._flows.set()

    def reset(self) -> None:
        """Both sides see the connection reset."""
        for side in self._sides:
            with suppress(OSError):
                side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._close(side)
        self.ended = True
        self._flows.set()

    def swallow(self) -> None:
        """Whatever the server says next is lost, and so is the connection."""
        self._answers = False

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(CHUNK):
                self.listens = self.listens or (
                    source is self._sides[0] and b"listen " in data.lower()
                )
                self._flows.wait()
                if source is self._sides[1] and not self._answers:
                    self.cut = True
                    self.reset()
                    return
                target.sendall(data)
        self.ended = True
        for side in self._sides:
            self._close(side)

    def _close(self, side: socket.socket) -> None:
        with suppress(OSError):
            side.shutdown(socket.SHUT_RDWR)
        side.close()


class Proxy:
    """Accepts on loopback while the context is open; `dsn` leads through it."""

    def __init__(self, dsn: str) -> None:
        facts = conninfo_to_dict(dsn)
        self._server = (str(facts["host"]), int(facts.get("port") or 5432))
        self._gate = socket.create_server(("127.0.0.1", 0))
        self._lines: list[Line] = []
        self._lock = threading.Lock()
        self._frozen = False
        self.tried = 0
        """Connections that were asked for."""
        port = self._gate.getsockname()[1]
        self.dsn = make_conninfo(dsn, host="127.0.0.1", port=port)

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._gate.close()
        self.reset()

    def freeze(self, which: Callable[[Line], bool] | None = None) -> int:
        """Freeze these lines, or all of them and those to come; how many."""
        with self._lock:
            self._frozen = which is None
            frozen = [line for line in self._lines if which is None or which(line)]
            for line in frozen:
                line.freeze()
            return len(frozen)

    def heal(self) -> None:
        """All lines flow again."""
        with self._lock:
            self._frozen = False
            for line in self._lines:
                line.heal()

    def reset(self, which: Callable[[Line], bool] | None = None) -> int:
        """Reset these lines, or all; how many."""
        with self._lock:
            chosen = [line for line in self._lines if which is None or which(line)]
            for line in chosen:
                line.reset()
                self._lines.remove(line)
            return len(chosen)

    def swallow(self, chance: random.Random) -> Line | None:
        """Lose the next answer on one of the lines; which, or None when there is none."""
        with self._lock:
            self._lines = [line for line in self._lines if not line.ended]
            if not self._lines:
                return None
            line = chance.choice(self._lines)
        line.swallow()
        return line

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._gate.accept()
                self.tried += 1
                try:
                    server = self._connect()
                except OSError:
                    client.close()
                    continue
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                line = Line(client, server)
                with self._lock:
                    if self._frozen:
                        line.freeze()
                    self._lines.append(line)

    def _connect(self) -> socket.socket:
        host, port = self._server
        if not host.startswith("/"):
            return socket.create_connection((host, port))
        server = socket.socket(socket.AF_UNIX)
        server.connect(str(Path(host) / f".s.PGSQL.{port}"))
        return server
