"""A job with everything that is known of it."""

from __future__ import annotations

import psycopg

from pgq.cli import verbs
from pgq.cli.output import Verbatim

FIELDS = (
    "id", "task", "queue", "priority", "state", "attempt", "max_attempts", "crashes", "suspect",
    "run_at", "created_at", "claimed_at", "started_at", "finished_at", "worker", "worker_name",
    "timeout", "unique_key", "tags", "reason", "error_class", "message", "cancel_requested",
)  # fmt: skip
_CONTENT = ("payload", "headers", "result")
_ATTEMPT = (
    "attempt", "reason", "charged", "worker", "worker_name", "claimed_at", "started_at", "ended_at",
    "error_class", "message", "traceback",
)  # fmt: skip


def of(session: verbs.Session, job_id: int) -> verbs.Row:
    """The job's fields. Raises `NoSuchJob`."""
    return verbs.row(session, "get_job", FIELDS, id=job_id)


def content(session: verbs.Session, job_id: int) -> verbs.Row:
    """Its payload, headers and result, letter by letter; empty for a role that may not see them."""
    try:
        found = verbs.row(session, "get_payload", [f"{name}::text" for name in _CONTENT], id=job_id)
    except psycopg.errors.InsufficientPrivilege:
        return {}
    return {name: None if text is None else Verbatim(text) for name, text in found.items()}


def attempts(session: verbs.Session, job_id: int) -> list[verbs.Row]:
    """Its attempts that did not end well, oldest first."""
    return verbs.rows(session, "list_attempts", _ATTEMPT, id=job_id)
