"""What a handler answers when it neither returns a result nor fails: raised or returned."""

from __future__ import annotations

from datetime import timedelta


class Answer(Exception):
    """Base of the answers."""


class Retry(Answer):
    """This attempt failed: try again, `after` seconds from now or when the job's backoff says.

    Uses an attempt; the last one makes the job dead.
    """

    def __init__(
        self, after: float | timedelta | None = None, *, reason: str | None = None
    ) -> None:
        super().__init__(reason or "the handler asked to be tried again")
        self.after = None if after is None else as_timedelta(after)
        self.reason = reason


class Snooze(Answer):
    """Not now: run again in `delay` seconds. Uses no attempt."""

    def __init__(self, delay: float | timedelta) -> None:
        self.delay = as_timedelta(delay)
        super().__init__(f"snoozed for {self.delay.total_seconds():g} s")


class Cancel(Answer):
    """The job is no longer wanted: it ends as cancelled."""

    def __init__(self, reason: str | None = None) -> None:
        super().__init__(reason or "cancelled by its handler")
        self.reason = reason


class Permanent(Exception):
    """Trying again cannot help: the job goes straight to the dead letters.

    For subclasses and for raising as it is. Exceptions of others are named in
    `app.task(permanent=...)`.
    """


def as_timedelta(value: float | timedelta) -> timedelta:
    """A duration that was given in seconds or as a timedelta."""
    return value if isinstance(value, timedelta) else timedelta(seconds=value)
