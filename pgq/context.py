"""What a handler may know about the job that it runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Protocol
from uuid import UUID

Level = Literal["debug", "info", "warning", "error", "critical"]


class Context(Protocol):
    """The running job, as its handler sees it.

    A handler gets it when its first parameter is annotated `Context` or is named `ctx`. The same in
    async handlers and in sync ones, which run in threads; nothing here blocks.
    """

    @property
    def id(self) -> int:
        """The job."""

    @property
    def token(self) -> UUID:
        """The lease: `pgq.complete(id, token, result)` in the handler's own transaction ends the
        job together with what else that transaction writes."""

    @property
    def task(self) -> str:
        """Name under which the job was enqueued."""

    @property
    def queue(self) -> str:
        """Queue from which it was claimed."""

    @property
    def attempt(self) -> int:
        """Number of this attempt, the first is 1."""

    @property
    def max_attempts(self) -> int:
        """Number of the last attempt that it may have."""

    @property
    def deadline(self) -> float:
        """When this attempt times out, on the clock of `time.monotonic`."""

    @property
    def headers(self) -> Mapping[str, Any]:
        """What the enqueuer sent along, beside the arguments."""

    @property
    def cancelled(self) -> bool:
        """Whether the handler should stop: cancelled, out of time, or no longer the job's
        holder."""

    def check_cancelled(self) -> None:
        """Raise `Cancel` when `cancelled`: what a loop in a sync handler calls."""

    def log(self, message: str, level: Level = "info") -> None:
        """Add a line to the job's log."""

    def progress(self, share: float, message: str | None = None) -> None:
        """Say how much is done, 0 to 1."""
