"""The trace that a job belongs to: W3C Trace Context in its headers.

Works without OpenTelemetry, which is asked only where somebody else has imported it: without that
there are no spans.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

PARENT, STATE = "traceparent", "tracestate"

_PARENT = re.compile(
    r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}(-[!-~]{1,200})?"
)
_MEMBER = r"[a-z0-9][a-z0-9_*/@-]{0,255}=[ -+\--<>-~]{0,255}[!-+\--<>-~]"
_STATE = re.compile(rf"{_MEMBER}([ \t]*,[ \t]*{_MEMBER}){{0,31}}")
_STATE_LENGTH = 512


@dataclass(frozen=True, slots=True)
class Trace:
    """A place in a trace, well-formed: `parse` makes it."""

    parent: str
    state: str | None = None

    @property
    def trace_id(self) -> str:
        """32 hexadecimal digits."""
        return self.parent[3:35]

    @property
    def span_id(self) -> str:
        """16 hexadecimal digits."""
        return self.parent[36:52]

    def headers(self) -> dict[str, str]:
        """As it travels, in a job as in HTTP."""
        return {PARENT: self.parent} | ({STATE: self.state} if self.state else {})

    def fields(self) -> dict[str, str]:
        """As a line of the log tells it."""
        return {"trace_id": self.trace_id, "span_id": self.span_id}


def parse(parent: object, state: object = None) -> Trace | None:
    """The trace of a `traceparent` and a `tracestate`; None when the first makes no sense.

    That counts as none, as the standard says; a job is made and run all the same.
    """
    found = _PARENT.fullmatch(parent) if isinstance(parent, str) else None
    if found is None or (found[1] == "00" and found[4]):
        return None
    fits = isinstance(state, str) and len(state) <= _STATE_LENGTH and _STATE.fullmatch(state)
    return Trace(found[0], str(state) if fits else None)


def of(headers: Mapping[str, Any] | str | bytes | None) -> Trace | None:
    """The trace in a job's headers, which may be JSON text."""
    if not headers:
        return None
    if not isinstance(headers, Mapping):
        text = headers if isinstance(headers, str) else headers.decode()
        headers = _members(text) if PARENT in text else {}
    return parse(headers.get(PARENT), headers.get(STATE))


def carried(columns: Mapping[str, Any], trace: Trace | None) -> Mapping[str, Any]:
    """The columns of a new job that is to carry a trace, unless its headers name one themselves."""
    if trace is None:
        return columns
    headers = columns.get("headers") or {}
    given = headers if isinstance(headers, Mapping) else _members(headers)
    if PARENT in given:
        return columns
    if isinstance(headers, Mapping):
        return {**columns, "headers": {**headers, **trace.headers()}}
    # What was sent stays as it was, letter by letter.
    ours, comma = json.dumps(trace.headers())[1:-1], "," if given else ""
    return {**columns, "headers": f"{{{ours}{comma}{headers.lstrip()[1:]}"}


def has_spans() -> bool:
    """Whether this program uses OpenTelemetry."""
    return "opentelemetry.trace" in sys.modules


def current() -> Trace | None:
    """The trace of OpenTelemetry's current span."""
    if not has_spans():
        return None
    from pgq import spans

    return spans.current()


def _members(text: str) -> dict[str, Any]:
    """Of an object in JSON; numbers stay text, since they may be longer than Python reads."""
    try:
        found = json.loads(text, parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
