"""Runs the handler of one job. Knows no database: what it came to is the caller's to store."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from pydantic_core import PydanticSerializationError, to_json

from pgq import App, Cancel, Retry, Snooze, traces
from pgq.answers import Answer
from pgq.errors import TaskError
from pgq.task import CATCH_ALL, RESERVED, Task
from pgq_worker import logs, tracebacks
from pgq_worker.jobs import ClaimedJob, JobContext
from pgq_worker.lines import Lines
from pgq_worker.outcomes import (
    DECLINED,
    LOST,
    NOTHING,
    Cancelled,
    Failed,
    Outcome,
    Released,
    Snoozed,
    Succeeded,
)
from pgq_worker.slots import Slots

MESSAGE_LENGTH = 10_000
"""Characters of an error's message that are kept."""
TRACEBACK_LENGTH = 100_000
"""Characters of its traceback."""

log = logs.get("execution")

_Call = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]


class _Route(NamedTuple):
    task: Task[..., ..., Any]
    function: Callable[..., Any]
    is_async: bool
    takes_context: bool


class Execution:
    """Runs jobs of an app; each is to be run in a context of its own."""

    def __init__(self, app: App, *, slots: Slots, lines: Lines) -> None:
        self._app = app
        self._slots = slots
        self._lines = lines
        self._routes: dict[str, _Route] = {}

    def needs_thread(self, job: ClaimedJob) -> bool:
        """Whether it is for `call` and not for `run`."""
        route = self._routes.get(job.task) or self._route(job.task)
        return route is not None and not route.is_async

    def knows(self, task: str) -> bool:
        """Whether a task of the app runs jobs of this name."""
        return task in self._routes or self._route(task) is not None

    async def run(self, job: ClaimedJob) -> Outcome:
        """Run an async handler to its end, in the task `job.runner`, which ends with it.

        Raises nothing but the cancellation of this call.
        """
        begun = self._begin(job)
        if not isinstance(begun, tuple):
            return begun
        function, args, kwargs = begun
        # Cancelled as a task: a cancel scope would cost as much as all else here.
        job.handler = job.runner
        try:
            value = await function(*args, **kwargs)
        except BaseException as error:
            self._end(job)
            if _is_ours(error):
                raise
            return self._raised(job, error)
        self._end(job)
        return NOTHING if value is None else returned(value)

    def call(self, job: ClaimedJob) -> Outcome:
        """Run a sync handler to its end, in a thread of the caller's. Raises nothing."""
        begun = self._begin(job)
        if not isinstance(begun, tuple):
            return begun
        function, args, kwargs = begun
        try:
            value = function(*args, **kwargs)
        except BaseException as error:
            self._end(job)
            return self._raised(job, error)
        self._end(job)
        return NOTHING if value is None else returned(value)

    def _begin(self, job: ClaimedJob) -> _Call | Outcome:
        try:
            route = self._routes.get(job.task) or self._route(job.task)
            if route is None:
                return DECLINED
            task, function, _, takes_context = route
            args, kwargs = task.bind_json(job.payload, quotes=False)
            job.payload = None
            if takes_context:
                args = (JobContext(job, self._lines), *args)
        except Exception as error:
            return unreadable(error)
        if job.stop_reason is not None:
            return stopped(job, begun=False)
        logs.current_job.set(job)
        job.begun_at = now = time.monotonic()
        self._slots.begin(job.slot, now)
        return function, args, kwargs

    def _end(self, job: ClaimedJob) -> None:
        job.ran = time.monotonic() - job.begun_at
        self._slots.end(job.slot)
        if job.cancels:
            _take_back(job)
        job.handler = None

    def _route(self, name: str) -> _Route | None:
        task = self._app.find(name)
        if task is None or (task.name == CATCH_ALL and name.startswith(RESERVED)):
            return None
        function = task.function
        route = _Route(task, function, inspect.iscoroutinefunction(function), task.takes_context)
        if len(self._routes) < 10_000:
            self._routes[name] = route
        return route

    def _raised(self, job: ClaimedJob, error: BaseException) -> Outcome:
        if job.stop_reason is not None:
            return stopped(job)
        if isinstance(error, Answer):
            return answered(error)
        task = self._app.find(job.task)
        failed = described(error, permanent=task is not None and task.is_permanent(error))
        log.warning("failed: %s: %s", failed.error_class, error, extra=logs.about(job))
        return failed


def execution(app: App, *, slots: Slots, lines: Lines, mask: Callable[[str], str]) -> Execution:
    """An execution: within spans, of whose texts `mask` takes secrets, if the program has them."""
    if not traces.has_spans():
        return Execution(app, slots=slots, lines=lines)
    from pgq_worker.tracing import TracedExecution

    return TracedExecution(app, slots=slots, lines=lines, mask=mask)


def _take_back(job: ClaimedJob) -> None:
    """The handler has met the cancellations that were meant for it."""
    while job.cancels and job.handler is not None:
        job.handler.uncancel()
        job.cancels -= 1


def _is_ours(error: BaseException) -> bool:
    """Whether it is this process that ends, and not the handler that failed."""
    if not isinstance(error, asyncio.CancelledError):
        return False
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def returned(value: Any) -> Outcome:
    """What a handler's return value means."""
    if isinstance(value, Answer):
        return answered(value)
    try:
        return Succeeded(to_json(value, inf_nan_mode="null").decode())
    except (PydanticSerializationError, ValueError, RecursionError) as error:
        return Failed(
            _name_of(error), f"the result cannot be written as JSON: {error}", permanent=True
        )


def answered(answer: Answer) -> Outcome:
    """What a handler's answer means."""
    match answer:
        case Snooze():
            return Snoozed(answer.delay)
        case Cancel():
            return Cancelled(answer.reason)
        case Retry():
            return Failed("Retry", str(answer), retry_in=answer.after)
        case _:
            return described(answer)


def stopped(job: ClaimedJob, *, begun: bool = True) -> Outcome:
    """What it means that a handler was told to stop, and did."""
    match job.stop_reason:
        case "timeout":
            return timed_out(job.timeout)
        case "cancel":
            return Cancelled()
        case "lost":
            return LOST
        case _:
            return Released(begun)


def timed_out(timeout: float) -> Failed:
    """The handler took longer than it may."""
    return Failed("Timeout", f"the handler ran for longer than {timeout:g} s", reason="timeout")


def unreadable(error: Exception) -> Failed:
    """A payload that this task cannot take; trying again would not help."""
    if isinstance(error, TaskError):
        return Failed("TaskError", cut(str(error), MESSAGE_LENGTH), permanent=True)
    failed = described(error, permanent=True)
    return Failed(
        failed.error_class, f"the payload cannot be read: {failed.message}", failed.traceback, True
    )


def described(error: BaseException, *, permanent: bool = False) -> Failed:
    """An error as it is stored: without the frames of the worker's own, and not too long."""
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_globals.get("__name__") == __name__:
        frames = frames.tb_next
    try:
        message = str(error)
        text = tracebacks.text(error, frames)
    except Exception as failure:
        message, text = f"(its text cannot be made: {type(failure).__name__})", ""
    return Failed(
        _name_of(error),
        cut(message, MESSAGE_LENGTH),
        cut(text, TRACEBACK_LENGTH) or None,
        permanent,
    )


def _name_of(error: BaseException) -> str:
    kind = type(error)
    return (
        kind.__qualname__
        if kind.__module__ == "builtins"
        else f"{kind.__module__}.{kind.__qualname__}"
    )


def cut(text: str, length: int) -> str:
    """Both ends of a text: of a traceback the end says most."""
    if len(text) <= length:
        return text
    mark = f"\n… {len(text) - length} characters left out …\n"
    head = length // 4
    return text[:head] + mark + text[len(text) - (length - head - len(mark)) :]
