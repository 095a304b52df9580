"""Dictionaries with transactions: what each session sees, and which rows it holds.

As READ COMMITTED: a session sees what is committed and what its own transaction has done. Whoever
changes a row holds it until the transaction ends.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator
from typing import Any, Literal

Key = tuple[Hashable, ...]
"""A kind of thing, and which one."""
Mode = Literal["update", "no key update", "key share"]
"""How a row is held, in the words of Postgres."""
_COMPATIBLE = {("no key update", "key share"), ("key share", "no key update")} | {
    ("key share", "key share")
}


class Rows:
    """Values by key, as `sessions` sessions see them."""

    def __init__(self) -> None:
        self._committed: dict[Key, Any] = {}
        self._pending: dict[int, dict[Key, Any]] = {}
        self._locks: dict[Key, dict[int, Mode]] = defaultdict(dict)
        self._revised: set[tuple[int, Key]] = set()

    # Transactions

    def begin(self, session: int) -> None:
        """From now on what the session does is pending."""
        self._pending[session] = {}

    def end(self, session: int, *, commit: bool) -> None:
        """Let everybody see what the session did, or nobody."""
        pending = self._pending.pop(session)
        if commit:
            self._committed.update(pending)
        for holders in self._locks.values():
            holders.pop(session, None)
        self._revised = {each for each in self._revised if each[0] != session}

    def is_open(self, session: int) -> bool:
        """Whether the session is in a transaction."""
        return session in self._pending

    @property
    def open(self) -> list[int]:
        """Sessions that are in a transaction."""
        return sorted(self._pending)

    # Values

    def get(self, session: int, key: Key) -> Any:
        """What the session sees there; None: nothing."""
        pending = self._pending.get(session, {})
        return pending[key] if key in pending else self._committed.get(key)

    def all(self, session: int, kind: str) -> Iterator[Any]:
        """All of a kind that the session sees."""
        pending = self._pending.get(session, {})
        for key in {**self._committed, **pending}:
            if key[0] == kind and (value := self.get(session, key)) is not None:
                yield value

    def put(self, session: int, key: Key, value: Any, mode: Mode = "update") -> None:
        """Change a value; None removes it."""
        if session in self._pending:
            self._pending[session][key] = value
            self.hold(session, key, mode)
        else:
            self._committed[key] = value

    def learn(self, session: int, key: Key, value: Any) -> None:
        """Fill in what was not known of a value that the session sees."""
        pending = self._pending.get(session, {})
        (pending if key in pending else self._committed)[key] = value

    def pending(self, kind: str) -> Iterator[Any]:
        """What open transactions have changed of a kind, before and after."""
        for key, holders in self._locks.items():
            if key[0] == kind and holders:
                yield self._committed.get(key)
                for session in holders:
                    yield self.get(session, key)

    # Locks

    def hold(self, session: int, key: Key, mode: Mode = "update") -> None:
        """Hold a row until the transaction ends."""
        if session in self._pending:
            held = self._locks[key].get(session)
            if (held, mode) == ("no key update", "update"):
                self._revised.add((session, key))
            if held is None or held == "key share" or mode == "update":
                self._locks[key][session] = mode

    def is_revised(self, session: int, key: Key) -> bool:
        """Whether another session's transaction has changed a row and then taken it away.

        Postgres locks such a row FOR KEY SHARE by going from its old version to the new one, where
        it waits in spite of SKIP LOCKED.
        """
        return any(other != session and key == row for other, row in self._revised)

    def is_busy(self, session: int, key: Key, mode: Mode = "update") -> bool:
        """Whether another session holds a row, so that this one cannot."""
        return any(
            other != session and (mode, held) not in _COMPATIBLE
            for other, held in self._locks.get(key, {}).items()
        )
