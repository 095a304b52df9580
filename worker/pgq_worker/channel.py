"""Messages between the supervisor and a child: lines of JSON over a socket pair."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any

_LIMIT = 4 * 1024 * 1024
"""Bytes of a message, and of messages that a stuck child has not read."""


class Channel:
    """One end. Sending never waits; what a stuck reader cannot take is dropped, since every message
    repeats what a heartbeat or polling finds out too."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, end: socket.socket) -> Channel:
        end.setblocking(False)
        return cls(*await asyncio.open_connection(sock=end, limit=_LIMIT))

    def send(self, kind: str, **fields: Any) -> None:
        if (
            not self._writer.is_closing()
            and self._writer.transport.get_write_buffer_size() < _LIMIT
        ):
            self._writer.write(json.dumps({"kind": kind, **fields}).encode() + b"\n")

    @property
    def unread(self) -> int:
        """Bytes that the other end has not taken."""
        return self._writer.transport.get_write_buffer_size()

    async def receive(self) -> dict[str, Any] | None:
        """The next message; None when the other end is closed."""
        try:
            line = await self._reader.readline()
        except (ConnectionError, ValueError):
            return None
        return json.loads(line) if line.endswith(b"\n") else None

    async def flush(self) -> None:
        try:
            await self._writer.drain()
        except ConnectionError:
            return

    def close(self) -> None:
        self._writer.close()
