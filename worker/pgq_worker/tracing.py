"""Runs handlers within spans, by OpenTelemetry's conventions for messaging."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from opentelemetry.trace import Span, SpanKind

from pgq import App, spans, traces
from pgq_worker.execution import Execution, cut
from pgq_worker.jobs import ClaimedJob
from pgq_worker.lines import Lines
from pgq_worker.outcomes import (
    Cancelled,
    Failed,
    Lost,
    Outcome,
    Released,
    Snoozed,
    Succeeded,
)
from pgq_worker.slots import Slots

MESSAGE_LENGTH = 1_000
"""Characters of an error's message that a span has."""
TRACEBACK_LENGTH = 10_000
"""Characters of its traceback."""

_OUTCOMES = {
    Succeeded: "succeeded",
    Failed: "failed",
    Snoozed: "snoozed",
    Cancelled: "cancelled",
    Released: "released",
    Lost: "lost",
}


class TracedExecution(Execution):
    """Each run of a handler is a span, and what the handler does is within it.

    Its parent is the place that the job's headers name, to which it is linked as well; each attempt
    has a span of its own. `mask` takes secrets out of the text of errors.
    """

    def __init__(self, app: App, *, slots: Slots, lines: Lines, mask: Callable[[str], str]) -> None:
        super().__init__(app, slots=slots, lines=lines)
        self._mask = mask

    async def run(self, job: ClaimedJob) -> Outcome:
        """As `Execution.run`."""
        with self._span(job) as span:
            outcome = await super().run(job)
            self._tell(span, outcome)
        return outcome

    def call(self, job: ClaimedJob) -> Outcome:
        """As `Execution.call`."""
        with self._span(job) as span:
            outcome = super().call(job)
            self._tell(span, outcome)
        return outcome

    @contextmanager
    def _span(self, job: ClaimedJob) -> Iterator[Span | None]:
        """None unless a handler begins, and there is a trace or somebody who wants one."""
        origin = traces.of(job.headers)
        begins = job.stop_reason is None and self.knows(job.task)
        if not begins or (origin is None and not spans.is_recorded()):
            yield None
            return
        name, attributes = spans.of_message("process", "process", job.queue)
        attributes |= {
            "messaging.message.id": str(job.id),
            "messaging.pgq.task": job.task,
            "messaging.pgq.attempt": job.attempt,
            "messaging.pgq.max_attempts": job.max_attempts,
        }
        links = () if origin is None else (origin,)
        with spans.entered(
            name, SpanKind.CONSUMER, attributes, parent=origin, links=links
        ) as job.span:
            yield job.span

    def _tell(self, span: Span | None, outcome: Outcome) -> None:
        if span is None:
            return
        span.set_attribute("messaging.pgq.outcome", _OUTCOMES.get(type(outcome), "declined"))
        if not isinstance(outcome, Failed):
            return
        kind = outcome.error_class or "error"
        message = cut(self._mask(outcome.message), MESSAGE_LENGTH)
        spans.failed(span, kind, message)
        text = {"exception.type": kind, "exception.message": message}
        if outcome.traceback:
            text["exception.stacktrace"] = cut(self._mask(outcome.traceback), TRACEBACK_LENGTH)
        span.add_event("exception", text)
