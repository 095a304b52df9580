"""A disk of some megabytes, for a server's data, that can be full.

It is mounted where only this process and those that it starts see it, and is gone with them. Root
may do that, and others where the kernel lets them have namespaces of their own.
"""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress
from pathlib import Path

from faults.row import NotPlayable

_NEW_MOUNTS, _NEW_USERS = 0x00020000, 0x10000000
_REMOUNT, _PRIVATE, _RECURSIVE, _DETACHED = 1 << 5, 1 << 18, 1 << 14, 2
_libc = ctypes.CDLL(None, use_errno=True)


class SmallDisk:
    """Mounted at a folder, which it makes."""

    def __init__(self, folder: Path, *, megabytes: int) -> None:
        """Raises `NotPlayable` where nothing may be mounted."""
        self.folder = folder
        self._size = megabytes * 1024 * 1024
        folder.mkdir()
        _have_own_mounts()
        self._mount(0, self._size)

    def fill(self) -> None:
        """From now on it is as large as what is on it."""
        while self.room():
            facts = os.statvfs(self.folder)
            # Whoever writes meanwhile makes that too small.
            with suppress(OSError):
                self._mount(_REMOUNT, (facts.f_blocks - facts.f_bfree) * facts.f_frsize)

    def empty(self) -> None:
        """There is room again."""
        self._mount(_REMOUNT, self._size)

    def room(self) -> int:
        """Bytes that are free."""
        facts = os.statvfs(self.folder)
        return facts.f_bfree * facts.f_frsize

    def close(self) -> None:
        """Take it away, with all that is on it."""
        _done(_libc.umount2(os.fsencode(self.folder), _DETACHED))

    def _mount(self, flags: int, size: int) -> None:
        options = f"size={size},mode=711".encode()
        _done(_libc.mount(b"tmpfs", os.fsencode(self.folder), b"tmpfs", flags, options))


def _have_own_mounts() -> None:
    try:
        if os.geteuid() == 0:
            _done(_libc.unshare(_NEW_MOUNTS))
        else:
            user, group = os.geteuid(), os.getegid()
            _done(_libc.unshare(_NEW_MOUNTS | _NEW_USERS))
            Path("/proc/self/setgroups").write_text("deny")
            Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
            Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
        _done(_libc.mount(None, b"/", None, _RECURSIVE | _PRIVATE, None))
    except OSError as error:
        raise NotPlayable(
            f"a disk of its own cannot be mounted ({error.strerror}): it needs root, and a "
            "container that may mount"
        ) from None


def _done(result: int) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
