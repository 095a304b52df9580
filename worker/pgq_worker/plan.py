"""What a worker is told to do, and the share of it that each child gets."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self

from pgq.errors import ConfigError

CONCURRENCY = 16
"""Jobs at once in each process, unless told otherwise."""
MOST = 5_000
"""Jobs at once in a process, at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The options of a worker. Read once at the edge, then handed on as it is."""

    app: str
    dsn: str = field(repr=False)
    listen_dsn: str | None = field(default=None, repr=False)
    queues: Mapping[str, int | None]
    """By name: most jobs of it at once, over all processes; None is no limit of its own."""
    processes: int = 1
    concurrency: int = CONCURRENCY
    """Jobs at once in each process."""
    grace: float = 10.0
    """Seconds that running jobs get when the worker is told to stop."""
    name: str = ""
    log_level: str = "info"
    log_format: Literal["text", "json"] = "text"
    metrics_host: str = "127.0.0.1"
    metrics_port: int | None = None
    """None: no metrics of its own."""

    def __post_init__(self) -> None:
        if not self.queues:
            raise ConfigError("a worker needs at least one queue, as in -q default")
        for number, what in ((self.processes, "processes"), (self.concurrency, "concurrency")):
            if not 1 <= number <= MOST:
                raise ConfigError(f"{what} is {number}; expected 1 to {MOST}")

    @property
    def title(self) -> str:
        """The worker's name, by which people know it."""
        return self.name or f"{socket.gethostname()}:{os.getpid()}"

    @property
    def slots(self) -> int:
        """Jobs at once, over all processes."""
        return self.processes * self.concurrency

    def limits(self, seat: int) -> dict[str, int]:
        """Most jobs at once of each queue that has a share in the process at this seat."""
        shares = {
            queue: self.concurrency
            if total is None
            else min(total // self.processes + (seat < total % self.processes), self.concurrency)
            for queue, total in self.queues.items()
        }
        return {queue: share for queue, share in shares.items() if share}


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildPlan:
    """What one child is told when it starts."""

    app: str
    dsn: str = field(repr=False)
    listen_dsn: str | None = field(repr=False)
    title: str
    executor: int
    limits: dict[str, int]
    concurrency: int
    slots: int
    suspects: bool
    describes: bool
    """Whether it is to tell the tasks of its app."""
    log_level: str
    log_format: Literal["text", "json"]
    measures: bool
    """Whether it is to tell what it counts."""

    def dump(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def load(cls, values: Mapping[str, Any]) -> Self:
        return cls(**values)


def parse_queues(text: str) -> dict[str, int | None]:
    """`mail=4,default` as a mapping. Raises `ConfigError`."""
    queues: dict[str, int | None] = {}
    for part in text.split(","):
        name, equals, number = part.strip().rpartition("=")
        if not equals:
            name, number = part.strip(), ""
        if (
            not name
            or len(name) > 200
            or (equals and not (number.isascii() and number.isdigit() and int(number)))
        ):
            raise ConfigError(
                f"queues: {part.strip()!r} is not a queue; expected name or name=jobs at once, "
                "as in mail=4,default"
            )
        if name in queues:
            raise ConfigError(f"queues: {name!r} is named twice")
        queues[name] = int(number) if equals else None
    return queues
