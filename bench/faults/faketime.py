"""Clocks that are wrong, by libfaketime, which Debian and Homebrew have under that name.

The monotonic clock stays as it is, as it does on a machine whose time is set.
"""

from __future__ import annotations

import glob
from pathlib import Path

from faults.row import NotPlayable

PLACES = (
    "/usr/lib/*/faketime/libfaketimeMT.so.1",
    "/usr/lib64/faketime/libfaketimeMT.so.1",
    "/usr/local/lib/faketime/libfaketimeMT.so.1",
)


def environment(offset: float = 0.0, *, file: Path | None = None) -> dict[str, str]:
    """For a process whose clock is off by so many seconds, or by what `file` says from time to
    time, as in `+300`. Raises `NotPlayable`."""
    found = [path for place in PLACES for path in glob.glob(place)]
    if not found:
        raise NotPlayable("libfaketime is needed: apt-get install libfaketime")
    said = {"FAKETIME_TIMESTAMP_FILE": str(file), "FAKETIME_NO_CACHE": "1"}
    return {
        "LD_PRELOAD": found[0],
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        **({"FAKETIME": f"{offset:+g}"} if file is None else said),
    }
