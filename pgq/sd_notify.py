"""Tells systemd how the service is, when systemd started it."""

from __future__ import annotations

import os
import socket

QUIET = 5.0
"""Seconds between two looks at what to tell, unless the watchdog wants to hear more often."""


class Notifier:
    """Speaks the protocol of sd_notify(3); does nothing where nobody listens."""

    def __init__(self, address: str | None, watchdog_usec: str | None) -> None:
        self._address = "\0" + address[1:] if address and address.startswith("@") else address
        self._is_watched = bool(address and watchdog_usec and watchdog_usec.isdigit())
        self._status = ""
        self.interval = min(
            int(watchdog_usec or 0) / 2_000_000 if self._is_watched else QUIET, QUIET
        )
        """Seconds between two looks at what to tell."""

    @classmethod
    def from_environment(cls) -> Notifier:
        """What systemd says to this process."""
        for_us = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        return cls(
            os.environ.get("NOTIFY_SOCKET"), os.environ.get("WATCHDOG_USEC") if for_us else None
        )

    @property
    def is_heard(self) -> bool:
        """Whether anybody listens."""
        return bool(self._address)

    def ready(self, status: str) -> None:
        """The service does its work."""
        self._send("READY=1", status)

    def status(self, status: str) -> None:
        """What people read in `systemctl status`; said again only when it is another."""
        if status != self._status:
            self._send("", status)

    def alive(self) -> None:
        """A sign of life for the watchdog, if there is one."""
        if self._is_watched:
            self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """The service ends in good order."""
        self._send("STOPPING=1", "stopping")

    def _send(self, message: str, status: str = "") -> None:
        if not self._address:
            return
        if status:
            self._status = status
            message = f"{message}\nSTATUS={status}".strip()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            try:
                sender.connect(self._address)
                sender.sendall(message.encode())
            except OSError:
                return
