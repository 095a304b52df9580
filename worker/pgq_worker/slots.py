"""What a child holds, in memory that its supervisor shares.

The child writes here before it does anything, so the supervisor knows the jobs in hand, those whose
handler has begun, and when they are out of time, even when the child is stuck or dead.
"""

from __future__ import annotations

import math
import mmap
import os
import struct
import tempfile
import time
from dataclasses import dataclass
from uuid import UUID

_HEADER = struct.Struct("<dq")
_SLOT = struct.Struct("<q16sdd")
_REST = struct.Struct("<16sdd")
_ID = struct.Struct("<q")
_TIME = struct.Struct("<d")
_OFFSET = 64
_TOKEN, _BEGUN, _TIMEOUT = 8, 24, 32


@dataclass(frozen=True, slots=True)
class Held:
    """A job in hand: `begun_at` is 0 before its handler begins, `timeout` infinite after it."""

    id: int
    token: UUID
    begun_at: float
    timeout: float

    @property
    def begun(self) -> bool:
        return self.begun_at > 0

    def overdue(self, now: float) -> float:
        """Seconds since the handler should have ended, on the clock of `time.monotonic`."""
        return now - self.begun_at - self.timeout if self.begun else -math.inf


def allocate(size: int) -> int:
    """A file descriptor of memory for `size` slots, to be given to a child."""
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("pgq-slots")
    else:
        with tempfile.TemporaryFile() as file:
            fd = os.dup(file.fileno())
    os.ftruncate(fd, _OFFSET + size * _SLOT.size)
    return fd


class Slots:
    """A number of slots, one for each job in hand. One process writes, any may read."""

    def __init__(self, fd: int | None = None, *, size: int) -> None:
        length = _OFFSET + size * _SLOT.size
        self._memory: mmap.mmap | bytearray = (
            mmap.mmap(fd, length) if fd is not None else bytearray(length)
        )
        self._free = list(range(_OFFSET + (size - 1) * _SLOT.size, _OFFSET - 1, -_SLOT.size))
        self.size = size

    # The writer's side

    @property
    def free_count(self) -> int:
        return len(self._free)

    @property
    def used_count(self) -> int:
        return self.size - len(self._free)

    def take(self, job_id: int, token: bytes, timeout: float) -> int:
        """Note a job that was claimed; returns its slot."""
        slot = self._free.pop()
        _REST.pack_into(self._memory, slot + _TOKEN, token, 0.0, timeout)
        _ID.pack_into(self._memory, slot, job_id)
        return slot

    def begin(self, slot: int, now: float) -> None:
        """Its handler begins."""
        _TIME.pack_into(self._memory, slot + _BEGUN, now)

    def end(self, slot: int) -> None:
        """Its handler has ended; what it came to is not stored yet."""
        _TIME.pack_into(self._memory, slot + _TIMEOUT, math.inf)

    def give(self, slot: int) -> None:
        """The job is no longer in hand."""
        _ID.pack_into(self._memory, slot, 0)
        self._free.append(slot)

    def tick(self, busy: int) -> None:
        """Show that the child makes progress, and how many handlers run."""
        _HEADER.pack_into(self._memory, 0, time.monotonic(), busy)

    # The reader's side

    @property
    def ticked_at(self) -> float:
        return float(_HEADER.unpack_from(self._memory, 0)[0])

    @property
    def busy(self) -> int:
        return int(_HEADER.unpack_from(self._memory, 0)[1])

    def held(self) -> list[Held]:
        """The jobs in hand."""
        return [
            Held(job_id, UUID(bytes=token), begun_at, timeout)
            for job_id, token, begun_at, timeout in _SLOT.iter_unpack(self._memory[_OFFSET:])
            if job_id
        ]

    def close(self) -> None:
        if isinstance(self._memory, mmap.mmap):
            self._memory.close()
