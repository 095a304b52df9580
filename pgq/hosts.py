"""Names and addresses of machines."""

from __future__ import annotations

import ipaddress
from functools import lru_cache


@lru_cache
def is_loopback(host: str) -> bool:
    """Whether an address or name can only mean this machine."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
