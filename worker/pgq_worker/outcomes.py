"""What running a job came to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The handler returned; its result as JSON text, None for nothing."""

    result: str | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """The handler raised, or ran out of time."""

    error_class: str | None
    message: str
    traceback: str | None = None
    permanent: bool = False
    retry_in: timedelta | None = None
    reason: Literal["error", "timeout"] = "error"


@dataclass(frozen=True, slots=True)
class Snoozed:
    """The handler asked to be run again later."""

    delay: timedelta


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The job ends as cancelled, as its handler or an operator asked."""

    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Declined:
    """No task of the app has this name."""


@dataclass(frozen=True, slots=True)
class Released:
    """The worker stops: the job starts again elsewhere."""

    begun: bool


@dataclass(frozen=True, slots=True)
class Lost:
    """The lease is somebody else's by now: nothing is to be said about the job."""


Outcome = Succeeded | Failed | Snoozed | Cancelled | Declined | Released | Lost

NOTHING = Succeeded()
DECLINED = Declined()
LOST = Lost()
