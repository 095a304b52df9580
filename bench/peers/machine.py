"""The machine and the program, in a few words."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path


def describe() -> str:
    """How many processors of which kind."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return f"{os.cpu_count()} × {next(names, platform.machine())}"


def version() -> str:
    """Of this queue."""
    return metadata.version("pgq-service")
