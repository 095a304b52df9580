"""The tasks of a program and the database in which their jobs are."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from types import MappingProxyType
from typing import Any, Concatenate, Protocol, Self, Unpack, overload

from pydantic_core import PydanticSerializationError, to_json

from pgq import config, connections, producer
from pgq.connections import Rows, Statement
from pgq.context import Context
from pgq.errors import TaskError
from pgq.job import Job
from pgq.options import Fields, Options
from pgq.sending import Sent, sending
from pgq.sessions import Sessions
from pgq.task import CATCH_ALL, RESERVED, P, R, Task

_Making = tuple[AbstractContextManager[Sent], Callable[[Sent], Statement]]


class _Declaration(Protocol):
    """What `@app.task(...)` does to a function, with and without a context."""

    @overload
    def __call__(
        self, function: Callable[Concatenate[Context, P], R], /
    ) -> Task[Concatenate[Context, P], P, R]: ...

    @overload
    def __call__(self, function: Callable[P, R], /) -> Task[P, P, R]: ...


class App:
    """Holds tasks, and enqueues their jobs.

    Without a `dsn` the environment says which database, when it is first needed; an App does
    nothing before. `async with app:` or `await app.close()` closes its sessions; it can be used
    again.
    """

    def __init__(self, dsn: str | None = None) -> None:
        self._dsn = dsn
        self._tasks: dict[str, Task[..., ..., Any]] = {}
        self._sessions = Sessions(self._database)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def tasks(self) -> Mapping[str, Task[..., ..., Any]]:
        """The declared tasks, by name."""
        return MappingProxyType(self._tasks)

    @property
    def takes_reserved(self) -> bool:
        """Whether it has a task whose name begins with `pgq.`: such jobs come to no other app."""
        return any(name.startswith(RESERVED) for name in self._tasks)

    def find(self, name: str) -> Task[..., ..., Any] | None:
        """The task that runs jobs of this name: the one that has it, else the catch-all `*`."""
        return self._tasks.get(name) or self._tasks.get(CATCH_ALL)

    @overload
    def task(
        self, function: Callable[Concatenate[Context, P], R], /
    ) -> Task[Concatenate[Context, P], P, R]: ...

    @overload
    def task(self, function: Callable[P, R], /) -> Task[P, P, R]: ...

    @overload
    def task(
        self,
        name: str | None = None,
        /,
        *,
        permanent: Iterable[type[Exception]] = (),
        **options: Unpack[Fields],
    ) -> _Declaration: ...

    def task(
        self,
        name: Any = None,
        /,
        *,
        permanent: Iterable[type[Exception]] = (),
        **options: Unpack[Fields],
    ) -> Any:
        """Declare an async or sync function as a task, which stays callable.

        Its name is the function's own unless one is given; `"*"` runs jobs that no other task is
        named after. The options become part of each of its jobs; what is left out is the queue's.
        Exceptions in `permanent` make a job dead at once. Raises `TaskError` when the name is
        taken.
        """
        frame = sys._getframe(1)
        namespace = {} if frame.f_locals is frame.f_globals else dict(frame.f_locals)

        def declare(function: Callable[..., Any]) -> Task[..., ..., Any]:
            own = name if isinstance(name, str) else function.__name__
            if own in self._tasks:
                raise TaskError(
                    f"task {own!r} is declared twice, by {_place(self._tasks[own].function)} and "
                    f"{_place(function)}; give one of them another name"
                )
            self._tasks[own] = Task(
                self,
                own,
                function,
                options=Options().change(own, options),
                permanent=tuple(permanent),
                namespace=namespace,
            )
            return self._tasks[own]

        return declare(name) if callable(name) else declare

    async def enqueue(
        self, task: str, payload: Any = None, *, connection: Any = None, **options: Unpack[Fields]
    ) -> Job:
        """Make a job by the name of its task, which need not be declared here.

        `payload` is any JSON value: a mapping holds keyword arguments, a list positional ones,
        anything else is one argument; None is no arguments. When the task is declared here, its
        options hold and its function has to take the payload.
        """
        context, statement = self._making(task, payload, options)
        with context as sent:
            rows = await self.fetch(statement(sent), connection)
            sent.made(rows[0][0])
        return Job(rows[0][0], task, rows[0][1], app=self)

    def enqueue_sync(
        self, task: str, payload: Any = None, *, connection: Any = None, **options: Unpack[Fields]
    ) -> Job:
        """`enqueue`, without an event loop."""
        context, statement = self._making(task, payload, options)
        with context as sent:
            rows = self.fetch_sync(statement(sent), connection)
            sent.made(rows[0][0])
        return Job(rows[0][0], task, rows[0][1], app=self)

    def job(self, id: int, task: str = "") -> Job:  # noqa: A002
        """A handle on a job of this id; asks nobody whether there is one."""
        return Job(id, task, created=False, app=self)

    async def fetch(self, statement: Statement, connection: Any = None) -> Rows:
        """Rows of a statement over the caller's connection, else in a transaction of its own."""
        if connection is not None:
            return await connections.fetch(connection, statement)
        return await self._sessions.fetch(statement)

    def fetch_sync(self, statement: Statement, connection: Any = None) -> Rows:
        """`fetch`, without an event loop."""
        if connection is not None:
            return connections.fetch_sync(connection, statement)
        return self._sessions.fetch_sync(statement)

    async def close(self) -> None:
        """Close the app's sessions."""
        await self._sessions.close()

    def close_sync(self) -> None:
        """Close the sessions that the sync verbs opened."""
        self._sessions.close_sync()

    def _database(self) -> str:
        if self._dsn is None:
            self._dsn = config.dsn(config.load())
        return self._dsn

    def _making(self, name: str, payload: Any, options: Fields) -> _Making:
        """The context in which a job is made, and the statement that makes it there."""
        try:
            text = "{}" if payload is None else to_json(payload).decode()
        except (PydanticSerializationError, ValueError) as error:
            raise TaskError(f"task {name!r}: payload cannot be written as JSON: {error}") from None
        if task := self._tasks.get(name):
            changed = task.options(**options)
            return changed.sending(), lambda sent: changed.statement(text, sent)
        given = Options().change(name, options)
        if callable(given.unique_key):
            raise TaskError(f"task {name!r} is not declared here; give unique_key as a string")
        columns, key = given.columns(), given.unique_key
        queue = columns.get("queue", "default")
        return (
            sending(name, queue, (columns.get("headers"),)),
            lambda sent: producer.one(name, text, sent.carried(columns), key),
        )


def _place(function: Callable[..., Any]) -> str:
    return f"{function.__module__}.{function.__qualname__}"
