"""What can go wrong, for callers to catch.

PgqError
├── DatabaseError           the database refused a verb
│   ├── LeaseLost           PQ001
│   ├── NoSuchJob           PQ002
│   ├── IllegalTransition   PQ003
│   ├── NoSuchQueue         PQ004
│   ├── BadArgument         PQ005
│   ├── SchemaMismatch      PQ006
│   ├── Busy                PQ007
│   ├── WorkerExpired       PQ008
│   ├── NoSuchRecord        PQ009
│   └── KeyReused           PQ010
├── ConfigError             a setting, a command or an app that makes no sense
├── TaskError               a task is declared twice, is unknown, or got arguments that it does
│                           not take
├── JobFailed               waited for a job that ended dead or cancelled
├── WaitTimeout             waited for a job that did not end in time
└── Unavailable             the database cannot be reached or started
"""

from __future__ import annotations


class PgqError(Exception):
    """Base of every error that this package raises on purpose."""


class DatabaseError(PgqError):
    """A verb was refused; `message`, `detail` and `hint` are the database's own words."""

    sqlstate: str = ""

    def __init__(self, message: str, detail: str | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail
        self.hint = hint

    def __str__(self) -> str:
        return " ".join(part for part in (self.message, self.detail, self.hint) if part)


class LeaseLost(DatabaseError):
    """The job's lease is no longer this token's; what the holder did since is not recorded."""

    sqlstate = "PQ001"


class NoSuchJob(DatabaseError):
    """There is no job of this id."""

    sqlstate = "PQ002"


class IllegalTransition(DatabaseError):
    """The job's state does not allow the verb, or its unique key is taken."""

    sqlstate = "PQ003"


class NoSuchQueue(DatabaseError):
    """The queue has neither settings nor ever had a job."""

    sqlstate = "PQ004"


class BadArgument(DatabaseError):
    """A value was refused; `detail` names it and what was expected."""

    sqlstate = "PQ005"


class SchemaMismatch(DatabaseError):
    """The schema is older or newer than this program."""

    sqlstate = "PQ006"


class Busy(DatabaseError):
    """Somebody else is moving this job, or uses a table that is to be migrated; try again."""

    sqlstate = "PQ007"


class WorkerExpired(DatabaseError):
    """The worker's lease ran out; it drops its jobs and registers again."""

    sqlstate = "PQ008"


class NoSuchRecord(DatabaseError):
    """There is no worker, token or operation of this id."""

    sqlstate = "PQ009"


class KeyReused(DatabaseError):
    """The idempotency key was given with another request before."""

    sqlstate = "PQ010"


class ConfigError(PgqError):
    """A setting, a command or an app that makes no sense."""


class TaskError(PgqError):
    """A task is declared twice, is unknown, or got arguments that it does not take."""


class JobFailed(PgqError):
    """The awaited job ended without a result."""

    def __init__(self, job_id: int, state: str, message: str | None) -> None:
        super().__init__(f"job {job_id} is {state}" + (f": {message}" if message else ""))
        self.job_id = job_id
        self.state = state


class WaitTimeout(PgqError):
    """The awaited job did not end in time; it goes on."""


class Unavailable(PgqError):
    """The database cannot be reached or started."""


BY_SQLSTATE: dict[str, type[DatabaseError]] = {
    kind.sqlstate: kind
    for kind in (
        LeaseLost,
        NoSuchJob,
        IllegalTransition,
        NoSuchQueue,
        BadArgument,
        SchemaMismatch,
        Busy,
        WorkerExpired,
        NoSuchRecord,
        KeyReused,
    )
}
