"""The log of every process of ours: lines on stderr, for people on a terminal, as JSON elsewhere.

A line about a job tells its id, task and attempt, and its place in a trace if it has one. Passwords
and tokens are masked in all of them.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Literal, Protocol, TextIO
from urllib.parse import quote

from pgq import traces
from pgq.traces import Trace

Format = Literal["text", "json"]


class RunningJob(Protocol):
    """What a line tells of a job."""

    @property
    def id(self) -> int: ...

    @property
    def task(self) -> str: ...

    @property
    def attempt(self) -> int: ...

    @property
    def trace(self) -> Trace | None: ...


current_job: ContextVar[RunningJob | None] = ContextVar("pgq_job", default=None)
"""The job in whose handler this code runs."""

FIELDS = (
    "job", "task", "attempt", "queue", "worker", "executor", "error_class", "state", "trace_id",
    "span_id",
)  # fmt: skip
"""What `extra` of a logging call may add to a line."""


def about(job: RunningJob, **fields: object) -> dict[str, object]:
    """What a line says of a job: the `extra` of a logging call."""
    trace = job.trace
    place = trace.fields() if trace is not None else {}
    return {"job": job.id, "task": job.task, "attempt": job.attempt, **fields, **place}


def configure(
    level: str, form: Literal["auto", "text", "json"], *, secrets: Iterable[str | None] = ()
) -> Format:
    """Send this process's records to stderr; the format that `auto` came to.

    `secrets` are passwords that no line shows, beside what looks like one.
    """
    if form == "auto":
        form = "text" if sys.stderr is not None and sys.stderr.isatty() else "json"
    mask = masker(secrets)
    handler = _Stderr()
    handler.setFormatter(_Json(mask) if form == "json" else _Text(mask))
    root = logging.getLogger()
    root.handlers[:] = [kept for kept in root.handlers if not isinstance(kept, _Stderr)]
    root.addHandler(handler)
    root.setLevel(level.upper())
    logging.captureWarnings(True)
    return form


_LOOKS_SECRET = (
    ("://", re.compile(r"(\b\w+://[^\s:/@]*):[^\s@]+@"), r"\1:***@"),
    (
        "passw",
        re.compile(r"\b((?:ssl)?password|passwd)(\s*=\s*)('[^']*'|[^\s,;&]+)", re.I),
        r"\1\2***",
    ),
    ("pgq_", re.compile(r"\bpgq_[A-Za-z0-9_-]{43}(?![A-Za-z0-9_-])"), "pgq_***"),
    ("bearer", re.compile(r"\b(bearer\s+)[A-Za-z0-9._~+/=-]{8,}", re.I), r"\1***"),
)
"""Each with what a text has that it matches: to look for that is twenty times as fast."""


def masker(secrets: Iterable[str | None] = ()) -> Callable[[str], str]:
    """Takes these, and whatever looks like a password or a token, out of a text."""
    known = sorted(
        {
            form
            for secret in secrets
            if secret and len(secret) >= 4
            for form in (secret, quote(secret, safe=""))
        },
        key=len,
        reverse=True,
    )

    def mask(text: str) -> str:
        for secret in known:
            text = text.replace(secret, "***")
        folded = text.casefold()
        for part, pattern, replacement in _LOOKS_SECRET:
            if part in folded:
                text = pattern.sub(replacement, text)
        return text

    return mask


class _Stderr(logging.StreamHandler[TextIO]):
    """Writes to whatever is stderr at the time."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        return sys.stderr


class _Formatter(logging.Formatter):
    def __init__(self, mask: Callable[[str], str]) -> None:
        super().__init__()
        self._mask = mask


class _Text(_Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = " ".join(f"{name}={value}" for name, value in _fields(record).items())
        line = f"{self.formatTime(record)} {record.levelname.lower():<7} {record.getMessage()}"
        line = f"{line}  {fields}" if fields else line
        if record.exc_info:
            line = f"{line}\n{self.formatException(record.exc_info)}"
        return self._mask(line)


_encode = json.JSONEncoder(default=str, ensure_ascii=False).encode


class _Json(_Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "pid": record.process,
            "message": self._mask(record.getMessage()),
            **_fields(record),
        }
        if record.exc_info:
            line["traceback"] = self._mask(self.formatException(record.exc_info))
        return _encode(line)


def _fields(record: logging.LogRecord) -> dict[str, object]:
    found = {name: value for name in FIELDS if (value := record.__dict__.get(name)) is not None}
    if "job" not in found and (job := current_job.get()) is not None:
        found |= about(job)
    # Within a handler's own span its place says more than the job's.
    if record.__dict__.get("trace_id") is None and (trace := traces.current()) is not None:
        found |= trace.fields()
    return found
