"""A job queue service that is only Postgres: declare tasks, enqueue jobs, await results."""

from pgq.answers import Cancel, Permanent, Retry, Snooze
from pgq.app import App
from pgq.context import Context
from pgq.errors import (
    BadArgument,
    Busy,
    ConfigError,
    DatabaseError,
    IllegalTransition,
    JobFailed,
    KeyReused,
    LeaseLost,
    NoSuchJob,
    NoSuchQueue,
    NoSuchRecord,
    PgqError,
    SchemaMismatch,
    TaskError,
    Unavailable,
    WaitTimeout,
    WorkerExpired,
)
from pgq.job import Job, Status
from pgq.options import Backoff
from pgq.task import Task

__all__ = [
    "App",
    "Backoff",
    "BadArgument",
    "Busy",
    "Cancel",
    "ConfigError",
    "Context",
    "DatabaseError",
    "IllegalTransition",
    "Job",
    "JobFailed",
    "KeyReused",
    "LeaseLost",
    "NoSuchJob",
    "NoSuchQueue",
    "NoSuchRecord",
    "Permanent",
    "PgqError",
    "Retry",
    "SchemaMismatch",
    "Snooze",
    "Status",
    "Task",
    "TaskError",
    "Unavailable",
    "WaitTimeout",
    "WorkerExpired",
]
