"""The service itself."""

from __future__ import annotations

from typing import Literal

from pgq_server.models.base import Reply


class Health(Reply):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Readiness(Reply):
    """The database is there, with a schema that this release can use."""

    status: Literal["ready"] = "ready"
    schema_version: int
