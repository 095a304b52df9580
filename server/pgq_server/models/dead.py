"""Dead letters."""

from __future__ import annotations

from pydantic import Field

from pgq_server.models.base import Instant, Limit, Name, Reply, Request
from pgq_server.paging import Cursor, Page


class DeadFilter(Request):
    """Which dead letters. All that is given must hold."""

    queue: Name | None = None
    task: Name | None = None
    fingerprint: Name | None = Field(default=None, description="With this kind of error.")


class DeadQuery(DeadFilter):
    """Which dead letters, and which part of the list."""

    cursor: Cursor | None = None
    limit: Limit = 50


class DeadLetter(Reply):
    """A job that will not be tried again unless somebody asks."""

    id: int
    task: str
    queue: str
    reason: str
    fingerprint: str
    error_class: str | None
    message: str | None
    attempt: int
    crashes: int
    died_at: Instant


class DeadPage(Page[DeadLetter]):
    """Dead letters, the newest jobs first."""


class GroupQuery(Request):
    """Which groups."""

    queue: Name | None = None
    task: Name | None = None
    limit: Limit = 50


class DeadGroup(Reply):
    """Dead letters of the same kind of error, among the newest 100,000."""

    fingerprint: str
    reason: str
    error_class: str | None
    message: str | None
    n: int
    first_at: Instant
    last_at: Instant
    last_id: int
    tasks: list[str]
    queues: list[str]


class DeadGroups(Reply):
    """Groups, the largest first."""

    items: list[DeadGroup]
