"""A server that is measured over HTTP, and a client that costs little."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from pgq.errors import PgqError


@dataclass(frozen=True)
class Address:
    """Where a server listens."""

    host: str
    port: int


@contextmanager
def serving(dsn: str) -> Iterator[Address]:
    """A real `pgq server`, until the block ends."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pgq", "server", "--port", "0"],
        env={**os.environ, "DATABASE_URL": dsn},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout
        found = re.search(r"pgq serves (\S+)", process.stdout.readline())
        if found is None:
            raise PgqError("the server did not come up: run `pgq server` to see why")
        parts = urlsplit(found[1])
        yield Address(parts.hostname or "", parts.port or 0)
    finally:
        process.terminate()
        process.wait()


class Client:
    """One connection that is kept open."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def opened(cls, address: Address) -> Self:
        """A new connection."""
        return cls(*await asyncio.open_connection(address.host, address.port))

    async def post(self, request: bytes) -> None:
        """Send a request and read its answer, which is a success."""
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head)
        body = await self._reader.readexactly(int(length[1])) if length else b""
        if not head.startswith(b"HTTP/1.1 20"):
            raise PgqError(f"the server answered {(head + body).decode(errors='replace')}")

    async def listen(self, path: str) -> None:
        """Ask for a stream of events, and read the first."""
        self._writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        await self._reader.readuntil(b"event: ")

    def close(self) -> None:
        """Go away."""
        self._writer.close()


def posted(path: str, body: bytes) -> bytes:
    """A request as it is sent."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
