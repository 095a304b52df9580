"""What a child holds, in memory that its supervisor shares.

The child writes here before it does anything, so the supervisor knows the claim under way, the jobs
in hand, those whose handler has begun, and when they are out of time, even when the child is stuck
or dead.
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

_SLOT = struct.Struct("16sddq")
"""Token, when the handler began, its timeout; the id last, which is 0 while the slot is empty."""
_WORD = 8
_HEADER, _WORDS = 8, _SLOT.size // _WORD
_BEGUN, _TIMEOUT, _ID = 2, 3, 4
_CLAIM = slice(2 * _WORD, 4 * _WORD)
"""Of the header, after the tick and the number of handlers: the token of the claim under way."""
_TURN = 4
"""Then: when the claim loop last came round."""
_NO_CLAIM = bytes(2 * _WORD)


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
    os.ftruncate(fd, _length(size))
    return fd


def _length(size: int) -> int:
    return _HEADER * _WORD + size * _SLOT.size


class Slots:
    """A number of slots, one for each job in hand. One process writes, any may read.

    A slot is known by its first word in the memory.
    """

    def __init__(self, fd: int | None = None, *, size: int) -> None:
        length = _length(size)
        self._memory: mmap.mmap | bytearray = (
            mmap.mmap(fd, length) if fd is not None else bytearray(length)
        )
        self._view = memoryview(self._memory)
        self._times, self._numbers = self._view.cast("d"), self._view.cast("q")
        self._free = list(range(_HEADER + (size - 1) * _WORDS, _HEADER - 1, -_WORDS))
        self.size = size

    # The writer's side

    @property
    def free_count(self) -> int:
        return len(self._free)

    @property
    def used_count(self) -> int:
        return self.size - len(self._free)

    def claim(self, token: bytes | None) -> None:
        """A claim with this token is under way; None: what the last one brought is noted."""
        self._view[_CLAIM] = token or _NO_CLAIM

    def take(self, job_id: int, token: bytes, timeout: float) -> int:
        """Note a job that was claimed; returns its slot."""
        slot = self._free.pop()
        _SLOT.pack_into(self._view, slot * _WORD, token, 0.0, timeout, job_id)
        return slot

    def begin(self, slot: int, now: float) -> None:
        """Its handler begins."""
        self._times[slot + _BEGUN] = now

    def end(self, slot: int) -> None:
        """Its handler has ended; what it came to is not stored yet."""
        self._times[slot + _TIMEOUT] = math.inf

    def give(self, slot: int) -> None:
        """The job is no longer in hand."""
        self._numbers[slot + _ID] = 0
        self._free.append(slot)

    def tick(self, busy: int) -> None:
        """Show that the child makes progress, and how many handlers run."""
        self._times[0] = time.monotonic()
        self._numbers[1] = busy

    def turn(self, at: float | None) -> None:
        """The claim loop has come round; None: it has nothing to do until it is told."""
        self._times[_TURN] = math.inf if at is None else at

    # The reader's side

    @property
    def ticked_at(self) -> float:
        return self._times[0]

    @property
    def turned_at(self) -> float:
        """When the claim loop came round; 0 before it begins, infinite while it need not."""
        return self._times[_TURN]

    @property
    def busy(self) -> int:
        return self._numbers[1]

    @property
    def claiming(self) -> UUID | None:
        """The token of the claim under way. Look before `held`: it may bring jobs in between."""
        token = bytes(self._view[_CLAIM])
        return None if token == _NO_CLAIM else UUID(bytes=token)

    def held(self) -> list[Held]:
        """The jobs in hand."""
        return [
            Held(job_id, UUID(bytes=token), begun_at, timeout)
            for token, begun_at, timeout, job_id in _SLOT.iter_unpack(
                self._memory[_HEADER * _WORD :]
            )
            if job_id
        ]

    def close(self) -> None:
        for view in (self._times, self._numbers, self._view):
            view.release()
        if isinstance(self._memory, mmap.mmap):
            self._memory.close()
