"""Workers, and the tasks they know."""

from __future__ import annotations

from pydantic import Field

from pgq_server.models.base import Id, Instant, RawJson, Reply, Request


class WorkerPath(Request):
    """Names a worker."""

    id: Id


class Worker(Reply):
    """A worker process."""

    id: int
    name: str
    state: str
    queues: list[str]
    slots: int
    busy: int
    started_at: Instant
    heartbeat_at: Instant
    info: RawJson


class Workers(Reply):
    """Workers that are up, or were lately."""

    items: list[Worker]


class Drain(Request):
    """Whether the worker is to take no more jobs."""

    on: bool = Field(default=True, description="False: it takes jobs again.")


class Task(Reply):
    """A task that a worker which is up knows."""

    task: str
    arguments: RawJson | None = Field(description="JSON Schema of its payload.")
    queues: list[str]
    workers: int


class Tasks(Reply):
    """Tasks by name."""

    items: list[Task]
