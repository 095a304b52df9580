"""Streams of server-sent events: responses that go on until nothing more is to come.

They end by themselves when the server stops, when their reader's token is no longer valid, and when
too much waits for a reader that is slow: who comes back goes on from there.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import anyio
from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from pgq_server.access import Access
from pgq_server.problems import RETRY_AFTER, Refusal

MEDIA_TYPE = "text/event-stream"
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
BEAT = 15.0
"""Seconds of silence after which a comment is sent, so that nobody between takes it for dead."""
BOUND = 16
"""Events that wait for their reader."""
RECHECKED = 1.0
"""Seconds after which tokens of readers are looked at again."""

_BEAT = b": \n\n"


class Outlet:
    """Where events are put for one reader."""

    def __init__(self) -> None:
        self._put, self.chunks = anyio.create_memory_object_stream[bytes](BOUND)

    @property
    def is_idle(self) -> bool:
        """Whether the reader has taken everything."""
        return self._put.statistics().current_buffer_used == 0

    def put(self, chunk: bytes) -> None:
        """Have something sent; for a reader with so much unread nothing more is to come."""
        try:
            self._put.send_nowait(chunk)
        except anyio.WouldBlock:
            self.end()
        except (anyio.ClosedResourceError, anyio.BrokenResourceError):
            return

    def end(self) -> None:
        """Nothing more is to come."""
        self._put.close()

    def close(self) -> None:
        """Nobody reads any more."""
        self._put.close()
        self.chunks.close()


Source = Callable[[Outlet], AbstractContextManager[None]]
"""Puts into the outlet for as long as the context is open."""


class Streams:
    """The open streams of the process."""

    def __init__(self, access: Access, *, most: int) -> None:
        self._access = access
        self._most = most
        self._open: dict[Outlet, Request] = {}
        self._is_over = False

    async def run(self) -> None:
        """End those whose token is no longer valid, for good."""
        while True:
            await anyio.sleep(RECHECKED)
            for outlet, request in list(self._open.items()):
                if not await self._is_allowed(request):
                    outlet.end()

    def end(self) -> None:
        """End all, now and later."""
        self._is_over = True
        for outlet in self._open:
            outlet.end()

    def check_room(self) -> None:
        """Refuse one more than there may be."""
        if len(self._open) >= self._most:
            raise Refusal(
                "too-many-requests",
                f"{self._most:,} event streams are open already.",
                headers={"Retry-After": RETRY_AFTER},
            )

    @contextmanager
    def opened(self, request: Request) -> Iterator[Outlet]:
        """An outlet for a reader."""
        outlet = Outlet()
        if self._is_over:
            outlet.end()
        self._open[outlet] = request
        try:
            yield outlet
        finally:
            del self._open[outlet]
            outlet.close()

    async def _is_allowed(self, request: Request) -> bool:
        try:
            await self._access.identify(request)
        except Refusal:
            return False
        except Exception:  # noqa: S110 - nobody can tell at the moment
            pass
        return True


class EventStream(Response):
    """The events of a source."""

    media_type = MEDIA_TYPE

    def __init__(self, request: Request, streams: Streams, source: Source) -> None:
        streams.check_room()
        super().__init__(headers=HEADERS)
        del self.headers["content-length"]
        self._request = request
        self._streams = streams
        self._source = source

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send them."""
        with self._streams.opened(self._request) as outlet, self._source(outlet):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(gone, receive, tasks.cancel_scope)
                await self._send(outlet, send)
                tasks.cancel_scope.cancel()

    async def _send(self, outlet: Outlet, send: Send) -> None:
        await send(
            {
                "type": "http.response.start",
                "status": self.status_code,
                "headers": self.raw_headers,
            }
        )
        await _part(send, b"retry: %d\n\n" % random.randint(500, 1500))  # noqa: S311
        while True:
            chunk = _BEAT
            with anyio.move_on_after(BEAT):
                try:
                    chunk = await outlet.chunks.receive()
                except anyio.EndOfStream:
                    break
            await _part(send, chunk)
        await _part(send, b"", more=False)


def event(name: str, data: object, *, number: int | str | None = None) -> bytes:
    """An event as it is sent; `number` is its id."""
    head = b"" if number is None else b"id: %s\n" % str(number).encode()
    return b"%sevent: %s\ndata: %s\n\n" % (head, name.encode(), to_json(data, inf_nan_mode="null"))


async def gone(receive: Receive, scope: anyio.CancelScope) -> None:
    """Cancel what is done for a client when it goes away."""
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


async def _part(send: Send, content: bytes, *, more: bool = True) -> None:
    await send({"type": "http.response.body", "body": content, "more_body": more})
