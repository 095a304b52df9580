"""The worker's own log: lines on stderr, for people on a terminal and as JSON elsewhere."""

from __future__ import annotations

import json
import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pgq_worker.jobs import ClaimedJob

Format = Literal["text", "json"]

current_job: ContextVar[ClaimedJob | None] = ContextVar("pgq_job", default=None)
"""The job in whose handler this code runs."""


def get(name: str) -> logging.Logger:
    """A logger of the worker's."""
    return logging.getLogger(f"pgq.worker.{name}")


def about(job: ClaimedJob, **fields: object) -> dict[str, object]:
    """What a line says of a job: the `extra` of a logging call."""
    return {"job": job.id, "task": job.task, "attempt": job.attempt, **fields}


def configure(level: str, form: Format) -> None:
    """Send records of this process to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if form == "json" else _Text())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())


_encode = json.JSONEncoder(default=str, ensure_ascii=False).encode
_FIELDS = ("job", "task", "attempt", "queue", "worker", "executor", "error_class", "state")


def _fields(record: logging.LogRecord) -> dict[str, object]:
    found = {name: value for name in _FIELDS if (value := record.__dict__.get(name)) is not None}
    if "job" not in found and (job := current_job.get()) is not None:
        found |= about(job)
    return found


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = " ".join(f"{name}={value}" for name, value in _fields(record).items())
        line = f"{self.formatTime(record)} {record.levelname.lower():<7} {record.getMessage()}"
        line = f"{line}  {fields}" if fields else line
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "pid": record.process,
            "message": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return _encode(line)
