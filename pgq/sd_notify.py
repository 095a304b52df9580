"""Tells systemd how the service is, when systemd started it."""

from __future__ import annotations

import os
import socket


class Notifier:
    """Speaks the protocol of sd_notify(3); does nothing where nobody listens."""

    def __init__(self, address: str | None, watchdog_usec: str | None) -> None:
        self._address = "\0" + address[1:] if address and address.startswith("@") else address
        self.watchdog_interval = (
            int(watchdog_usec) / 2_000_000
            if address and watchdog_usec and watchdog_usec.isdigit()
            else None
        )
        """Seconds between signs of life, or None when none are expected."""

    @classmethod
    def from_environment(cls) -> Notifier:
        for_us = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        return cls(
            os.environ.get("NOTIFY_SOCKET"), os.environ.get("WATCHDOG_USEC") if for_us else None
        )

    def ready(self, status: str) -> None:
        self._send(f"READY=1\nSTATUS={status}")

    def status(self, status: str) -> None:
        self._send(f"STATUS={status}")

    def alive(self) -> None:
        self._send("WATCHDOG=1")

    def stopping(self) -> None:
        self._send("STOPPING=1\nSTATUS=stopping")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            try:
                sender.connect(self._address)
                sender.sendall(message.encode())
            except OSError:
                return
