"""Opaque cursors: where a list goes on. What is in one is nobody's business and may change."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Annotated, Any, Generic, TypeVar

from pydantic import BeforeValidator, Field

from pgq_server.models.base import Reply, like

T = TypeVar("T")


class Total(Reply):
    """How many there are, counted up to a cap, for a while."""

    n: int
    capped: bool = Field(description="There are more than these, or may be.")


class Page(Reply, Generic[T]):
    """A part of a list, and where it goes on."""

    items: list[T]
    next: str | None = Field(
        default=None, description="The `cursor` that goes on from here; null: this is the end."
    )


def encode(position: int) -> str:
    """A cursor that goes on after this id."""
    return base64.urlsafe_b64encode(position.to_bytes(8)).decode().rstrip("=")


def decode(cursor: str) -> int:
    """The position of a cursor, which every text of the pattern is."""
    return min(int.from_bytes(base64.urlsafe_b64decode(f"{cursor}=")), 2**63 - 1)


_PATTERN = "^[A-Za-z0-9_-]{10}[AEIMQUYcgkosw048]$"


Cursor = Annotated[
    str,
    Field(pattern=_PATTERN, description="The `next` of an earlier answer."),
    BeforeValidator(like(_PATTERN, "the `next` of an earlier answer, unchanged")),
]


def position(cursor: str | None) -> int | None:
    """Where a valid cursor goes on."""
    return None if cursor is None else decode(cursor)


def cut(rows: Sequence[Any], limit: int) -> tuple[list[Any], bool]:
    """The first `limit` of rows of which one more was asked for, and whether there was one more."""
    return list(rows[:limit]), len(rows) > limit
