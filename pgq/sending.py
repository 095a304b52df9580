"""Jobs on their way into the queue, and the trace that they carry."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Self

from pgq import traces
from pgq.logs import current_job
from pgq.traces import Trace


class Sent:
    """What is being sent, within its context."""

    __slots__ = ("_trace",)

    def __init__(self, trace: Trace | None) -> None:
        self._trace = trace

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def carried(self, columns: Mapping[str, Any]) -> Mapping[str, Any]:
        """The columns of a job, with the trace in its headers unless they name one themselves."""
        return traces.carried(columns, self._trace)

    def made(self, job_id: int) -> None:
        """The one job is there."""


def sending(
    task: str | None,
    queue: str | None,
    headers: Iterable[Mapping[str, Any] | str | None] = (),
    *,
    count: int | None = None,
    incoming: Trace | None = None,
) -> AbstractContextManager[Sent]:
    """The context in which jobs are made: a span, where a program uses OpenTelemetry.

    They carry the trace of the span; without OpenTelemetry the trace that is `incoming`, else that
    of the job in whose handler this is. `headers` are those that the jobs have anyway; `task` and
    `queue` None: several. Without a `count` it is one job.
    """
    if incoming is None and (job := current_job.get()) is not None:
        incoming = job.trace
    if not traces.has_spans():
        return Sent(incoming)
    from pgq import spans

    own = [trace for each in headers if (trace := traces.of(each))]
    return spans.sending(task, queue, own, count=count, incoming=incoming)
