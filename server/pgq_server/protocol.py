"""HTTP as httptools reads it, which takes far less time than h11, with what h11 looks after.

Imported only where httptools is installed. On its own it takes heads of any length, and takes what
follows a body in chunks for headers of the request.
"""

from __future__ import annotations

import httptools
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

UNFINISHED = 16 * 1024
"""Most bytes of a head, or of what stands around the chunks of a body, that are waited for; as h11
has it."""
_REFUSAL = "Invalid HTTP request received."


class Protocol(HttpToolsProtocol):
    """One connection."""

    _unfinished = 0
    """Bytes since a head, a part of a body or a request was whole."""
    _in_head = False

    def data_received(self, data: bytes) -> None:
        """Read what has come."""
        self._unset_keepalive_if_required()
        self._unfinished += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._hand_over(data[upgrade.args[0] :])
            return
        except httptools.HttpParserError:
            self._refuse()
            return
        if self._unfinished > UNFINISHED:
            self._refuse()

    def on_message_begin(self) -> None:
        """A request begins."""
        self._in_head = True
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; none is taken from behind a body."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Begin to answer. Raises ValueError unless there is one Host."""
        self._in_head = False
        self._unfinished = 0
        hosts = sum(name == b"host" for name, _ in self.headers)
        if hosts > 1 or (not hosts and self.parser.get_http_version() != "1.0"):
            raise ValueError("expected one Host")
        if not self.parser.should_upgrade():
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        self._unfinished = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """A request ends."""
        self._unfinished = 0
        if not self.parser.should_upgrade():
            super().on_message_complete()

    def _hand_over(self, rest: bytes) -> None:
        """Let h11 read a request that offers another protocol, and all after it.

        httptools would leave out its body.
        """
        if self._is_answering:
            self._refuse()
            return
        version = self.parser.get_http_version().encode()
        lines = [b"%s %s HTTP/%s" % (self.parser.get_method(), self.url, version)]
        lines += [b"%s: %s" % header for header in self.headers]
        other = H11Protocol(self.config, self.server_state, self.app_state)
        self.connections.discard(self)
        self.transport.set_protocol(other)
        other.connection_made(self.transport)
        other.data_received(b"\r\n".join([*lines, b"", rest]))

    @property
    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _refuse(self) -> None:
        self.logger.warning(_REFUSAL)
        if self._is_answering and self.cycle.response_started:
            self.transport.close()
        else:
            self.send_400_response(_REFUSAL)
