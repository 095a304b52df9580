"""`/ui/jobs/{id}`: all about one job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

from starlette.responses import Response

from pgq_server.call import Call
from pgq_server.gateway import Row, verb
from pgq_server.models.base import JobPath
from pgq_server.ui import actions, filters, forms, trees
from pgq_server.ui.page import is_fragment, page_route, show

LINES, WHOLE = 500, 10_000
"""Lines of the log that come with the page, and when all are asked for; the stream brings more."""
_JOB = (
    "id", "task", "queue", "priority", "state", "attempt", "max_attempts", "crashes", "suspect",
    "run_at", "created_at", "claimed_at", "started_at", "finished_at", "worker", "worker_name",
    "timeout", "unique_key", "tags", "reason", "error_class", "message", "cancel_requested",
)  # fmt: skip
_ATTEMPT = (
    "attempt", "worker", "worker_name", "claimed_at", "started_at", "ended_at", "reason", "charged",
    "error_class", "message", "traceback",
)  # fmt: skip
_EVENT = ("at", "event", "attempt", "worker", "worker_name", "detail")
_LINE = ("n", "attempt", "at", "level", "message", "progress")
_OVER = ("succeeded", "cancelled", "dead")

_TONES = {
    "error": ("retrying", "retrying"),
    "timeout": ("retrying", "scheduled"),
    "crashed": ("dead", "dead"),
    "lost": ("dead", "warning"),
    "cancelled": ("cancelled", "cancelled"),
    "released": ("scheduled", "retrying"),
    "unknown task": ("scheduled", "help"),
}
_EVENTS: Mapping[str, tuple[str, str]] = {
    "created": ("accent", "created"),
    "scheduled": ("scheduled", "scheduled"),
    "claimed": ("running", "claimed"),
    "started": ("running", "started"),
    "failed": ("retrying", "dead"),
    "timed out": ("retrying", "scheduled"),
    "lost": ("dead", "warning"),
    "crashed": ("dead", "warning"),
    "released": ("scheduled", "retrying"),
    "snoozed": ("scheduled", "scheduled"),
    "succeeded": ("succeeded", "succeeded"),
    "cancelled": ("cancelled", "cancelled"),
    "died": ("dead", "dead"),
    "cancel requested": ("cancelled", "stop"),
    "next try": ("retrying", "retrying"),
    "due": ("scheduled", "scheduled"),
}
_REASONS = {
    "queue_paused": "retrying",
    "no_worker": "dead",
    "no_slots": "retrying",
    "below_floor": "dead",
    "damaged": "dead",
    "dead": "dead",
    "running": "running",
    "ready": "ready",
}


@dataclass(frozen=True)
class Attempt:
    """An attempt that did not end well."""

    row: Row

    def __getattr__(self, name: str) -> Any:
        try:
            return self.row[name]
        except KeyError:
            raise AttributeError(name) from None

    @property
    def key(self) -> str:
        return f"{self.row['attempt']}-{self.row['ended_at'].timestamp():.6f}".replace(".", "-")

    @property
    def tone(self) -> str:
        return _TONES.get(self.row["reason"], ("scheduled", ""))[0]

    @property
    def glyph(self) -> str:
        return _TONES.get(self.row["reason"], ("", "warning"))[1]

    @property
    def ran(self) -> timedelta | None:
        begun = self.row["started_at"] or self.row["claimed_at"]
        return self.row["ended_at"] - begun if begun else None


@dataclass(frozen=True)
class View:
    """What the page says."""

    job: Row
    reasons: Sequence[Row]
    timeline: Sequence[Row]
    tries: Sequence[Row]
    content: Row | None
    log: Sequence[Row]

    @property
    def is_over(self) -> bool:
        return self.job["state"] in _OVER

    @property
    def actions(self) -> list[actions.Action]:
        return [each for each in actions.OF_JOB if self.job["state"] in each.states]

    @property
    def explain_words(self) -> str:
        if self.is_over:
            return "How it ended"
        return "How it goes" if self.job["state"] == "running" else "Why it is not running"

    def tone(self, reason: str) -> str:
        return _REASONS.get(reason, "scheduled")

    @property
    def attempts(self) -> list[Attempt]:
        """The newest first."""
        return [Attempt(row) for row in reversed(self.tries)]

    @property
    def events(self) -> list[dict[str, Any]]:
        """The timeline, the newest first."""
        told = []
        for row in reversed(self.timeline):
            tone, glyph = _EVENTS.get(row["event"], ("scheduled", "info"))
            if row["event"] == "next try" and row["detail"] is None:  # its first
                row = {**row, "event": "due", "attempt": None}
            by = row["worker_name"] or row["worker"]
            notes = [
                f"attempt {row['attempt']}" if row["attempt"] else "",
                f"on {by}" if by else "",
                row["detail"] or "",
            ]
            note = ", ".join(part for part in notes if part)
            words = row["event"].capitalize()
            told.append(
                {"tone": tone, "glyph": glyph, "words": words, "at": row["at"], "note": note}
            )
        return told

    @property
    def lines(self) -> Sequence[Row]:
        return self.log

    @property
    def last_line(self) -> int:
        return self.log[-1]["n"] if self.log else 0

    @property
    def skipped(self) -> int:
        """Lines before the first that is shown."""
        return self.log[0]["n"] - 1 if self.log else 0

    @property
    def _latest(self) -> Row | None:
        return next((row for row in reversed(self.log) if row["progress"] is not None), None)

    @property
    def progress(self) -> float | None:
        return self._latest["progress"] if self._latest else None

    @property
    def progress_message(self) -> str | None:
        return self._latest["message"] if self._latest else None

    @property
    def payload(self) -> trees.Node:
        return self._tree("payload") or trees.Node(None, "word", "not shown to you")

    @property
    def result(self) -> trees.Node | None:
        return self._tree("result")

    @property
    def headers(self) -> trees.Node | None:
        return self._tree("headers")

    @property
    def masked(self) -> bool:
        return any(
            node is not None and node.is_masked
            for node in (self.payload, self.result, self.headers)
        )

    def _tree(self, name: str) -> trees.Node | None:
        text = self.content[name] if self.content else None
        return None if text is None else trees.grow(text)

    def token(self, key: str, value: str) -> str:
        return filters.word(key, value)


class Query(forms.Fields):
    """How much of the log."""

    log: Literal["whole"] | None = None


async def job(call: Call[JobPath, Query]) -> Response:
    """One job."""
    of = {"p_id": call.path.id}
    is_whole = call.query.log and not is_fragment(call.request)  # an update leaves the log alone
    found, reasons, timeline, attempts, contents, log = await call.db.batch(
        verb("get_job", _JOB, **of),
        verb("explain", ("reason", "detail"), **of),
        verb("list_events", _EVENT, **of),
        verb("list_attempts", _ATTEMPT, **of, p_limit=50),
        verb("get_payload", ("payload::text", "headers::text", "result::text"), **of),
        verb("list_logs", _LINE, **of, p_limit=WHOLE if is_whole else LINES, p_newest=True),
    )
    view = View(found[0], reasons, timeline, attempts, contents[0] if contents else None, log)
    live = f"pgq:change from:body throttle:1s, every {30 if view.is_over else 5}s"
    return show(call, "job.html", view, page="/ui/jobs", live=live, stream=None)


ROUTES = (
    page_route("GET", "/ui/jobs/{id}", job, "A job", path_model=JobPath, query=Query, reach="job"),
)
