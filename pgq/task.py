"""A function that runs as jobs."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, Unpack

from pydantic_core import to_json

from pgq import producer
from pgq.answers import Permanent
from pgq.arguments import Arguments, Bound
from pgq.connections import Rows, Statement
from pgq.errors import TaskError
from pgq.job import Job
from pgq.options import Fields, Options
from pgq.sending import Sent, sending

if TYPE_CHECKING:
    from pgq.app import App

C = ParamSpec("C")
P = ParamSpec("P")
R = TypeVar("R")

CATCH_ALL = "*"
"""Name of the task that runs what no other task of the app is named after."""
RESERVED = "pgq."
"""Names that begin so are not for the catch-all, but for a task of the very name."""


class Task(Generic[C, P, R]):
    """A function and how its jobs are to be run. `App.task` makes it.

    Calling it calls the function. `C` are the function's parameters, `P` those that a job carries,
    which is all but the context.
    """

    __name__: str

    def __init__(
        self,
        app: App,
        name: str,
        function: Callable[C, R],
        *,
        options: Options,
        permanent: tuple[type[Exception], ...] = (),
        namespace: Mapping[str, Any],
    ) -> None:
        functools.update_wrapper(self, function)
        self.app = app
        self.name = name
        self.function = function
        self._permanent: tuple[type[BaseException], ...] = (Permanent, *permanent)
        self._arguments = Arguments(name, function, namespace)
        self._connection: Any = None
        self._apply(options)

    def __call__(self, *args: C.args, **kwargs: C.kwargs) -> R:
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<Task {self.name!r}>"

    # Enqueueing

    def options(self, *, connection: Any = None, **changes: Unpack[Fields]) -> Task[C, P, R]:
        """This task with other options, for the calls that follow.

        With a `connection` of the caller's, jobs are made in the transaction that it is in and live
        or die with it; nothing is committed. It may be psycopg's, asyncpg's, SQLAlchemy's
        (Connection, Session and their async kin) or Django's.
        """
        task = copy.copy(self)
        task._apply(self._options.change(self.name, changes))
        if connection is not None:
            task._connection = connection
        return task

    async def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> Job:
        """Make a job that calls the function with these arguments.

        Raises `TaskError` when the function does not take them, `BadArgument` when the database
        refuses a value.
        """
        with self.sending() as sent:
            rows = await self.app.fetch(self._one(args, kwargs, sent), self._connection)
            sent.made(rows[0][0])
        return Job(rows[0][0], self.name, rows[0][1], app=self.app)

    def enqueue_sync(self, *args: P.args, **kwargs: P.kwargs) -> Job:
        """`enqueue`, without an event loop."""
        with self.sending() as sent:
            rows = self.app.fetch_sync(self._one(args, kwargs, sent), self._connection)
            sent.made(rows[0][0])
        return Job(rows[0][0], self.name, rows[0][1], app=self.app)

    async def enqueue_many(self, calls: Iterable[Any]) -> list[Job]:
        """Make a job for each of `calls`, all or none, in one statement.

        Each is a mapping of keyword arguments, a list or tuple of positional ones, or else the one
        argument. The jobs come back in the same order.
        """
        if not (bound := self._bound(calls)):
            return []
        with self.sending(len(bound)) as sent:
            rows = await self.app.fetch(self._many(bound, sent), self._connection)
        return self._jobs(rows)

    def enqueue_many_sync(self, calls: Iterable[Any]) -> list[Job]:
        """`enqueue_many`, without an event loop."""
        if not (bound := self._bound(calls)):
            return []
        with self.sending(len(bound)) as sent:
            rows = self.app.fetch_sync(self._many(bound, sent), self._connection)
        return self._jobs(rows)

    # Running

    @property
    def takes_context(self) -> bool:
        """Whether the function's first argument is the `Context`; no payload holds it."""
        return self._arguments.takes_context

    def bind_json(self, payload: str | bytes | None, *, quotes: bool = True) -> Bound:
        """Arguments for the function, without the context, from a payload as JSON text.

        An object holds keyword arguments, an array positional ones, anything else is one argument;
        the catch-all is given any payload as its one argument. Raises `TaskError` when they do not
        fit; it quotes the value unless told not to, as where others than its sender see errors.
        """
        return self._arguments.load(payload, quotes=quotes)

    def bind_payload(self, payload: Any) -> Bound:
        """`bind_json` of a payload that is already decoded."""
        return self._arguments.load(to_json(payload))

    def payload_schema(self) -> dict[str, Any] | None:
        """JSON Schema of this task's payloads; None when one of its types has none."""
        return self._arguments.schema()

    def dump_json(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        """The payload, as JSON text, of a job with these arguments. Raises `TaskError`."""
        return self._arguments.dump(args, kwargs)

    def is_permanent(self, error: BaseException) -> bool:
        """Whether a job that failed with `error` is not to be tried again."""
        return isinstance(error, self._permanent)

    # The statements behind the verbs

    def _apply(self, options: Options) -> None:
        self._options = options
        self._columns = options.columns()

    def sending(self, count: int | None = None) -> AbstractContextManager[Sent]:
        """The context in which jobs of this task are made."""
        columns = self._columns
        queue = columns.get("queue", "default")
        return sending(self.name, queue, (columns.get("headers"),), count=count)

    def _one(self, args: tuple[Any, ...], kwargs: dict[str, Any], sent: Sent) -> Statement:
        name, payload = self._concrete(), self._arguments.dump(args, kwargs)
        columns = sent.carried(self._columns)
        return producer.one(name, payload, columns, self._key(args, kwargs))

    def statement(self, payload: str, sent: Sent) -> Statement:
        """Makes a job of a payload as it is, when the function takes it."""
        args, kwargs = self._arguments.load(payload)
        columns = sent.carried(self._columns)
        return producer.one(self._concrete(), payload, columns, self._key(args, kwargs))

    def _bound(self, calls: Iterable[Any]) -> list[Bound]:
        self._concrete()
        return [self._arguments.call(call) for call in calls]

    def _many(self, bound: list[Bound], sent: Sent) -> Statement:
        columns = sent.carried(self._columns)
        if self._options.unique_key is None:
            return producer.many(self.name, self._arguments.dump_many(bound), columns)
        payloads = [self._arguments.dump(args, kwargs) for args, kwargs in bound]
        keys = [self._key(args, kwargs) or "" for args, kwargs in bound]
        return producer.many_unique(self.name, payloads, columns, keys)

    def _key(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str | None:
        key = self._options.unique_key
        if not callable(key):
            return key
        made = key(*args, **kwargs)
        if not isinstance(made, str):
            raise TaskError(f"task {self.name!r}: unique_key returned {made!r}; expected a string")
        return made

    def _concrete(self) -> str:
        if self.name == CATCH_ALL:
            raise TaskError("the task '*' runs jobs of other names; use app.enqueue(name, payload)")
        return self.name

    def _jobs(self, rows: Rows) -> list[Job]:
        return [Job(row[0], self.name, row[1], app=self.app) for row in rows]
