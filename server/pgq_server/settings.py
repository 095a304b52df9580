"""What the server was told, read once and frozen."""

from __future__ import annotations

import re
from typing import Any

from pydantic import Field

from pgq.config import Server
from pgq.errors import ConfigError
from pgq.hosts import is_loopback

_PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+)+")


class Settings(Server):
    """Settings of one server process. Raises `ConfigError` for those that make no sense together.

    On a loopback address, no token is asked for, unless `require_token`.
    """

    dsn: str = Field(repr=False)

    def model_post_init(self, _: Any) -> None:
        """Check what only makes sense together."""
        if self.prefix and not _PREFIX.fullmatch(self.prefix):
            raise ConfigError(
                f"the prefix is {self.prefix!r}; expected a path that begins with / and does not "
                "end with one, as /queue"
            )
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ConfigError("TLS needs both a certificate and a key; give both or neither")
        for path in (self.tls_certificate, self.tls_key):
            if path is not None and not path.is_file():
                raise ConfigError(f"{path} is no file; expected one in PEM format")

    @property
    def is_loopback(self) -> bool:
        """Whether only programs of this machine reach the server."""
        return is_loopback(self.host)

    @property
    def is_open(self) -> bool:
        """Whether whoever reaches the server may do everything, without a token.

        A prefix tells of a proxy, which lets others in.
        """
        return self.is_loopback and not self.require_token and not self.prefix

    @property
    def is_tls(self) -> bool:
        """Whether the server speaks TLS itself."""
        return self.tls_certificate is not None
