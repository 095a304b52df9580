"""The database that a simulation plays on: its sessions, and what each of them sees."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import Any, Self
from uuid import UUID

import psycopg
from psycopg import sql

from faults import model
from faults.model import Broken, Lane, Refused
from pgq_bench.server import Session, opened

SESSIONS = 5
OWNER = SESSIONS
"""The number of the session that moves ages, never in a transaction."""
QUEUES = ("a", "b", "brief")
"""Of the last one finished jobs are kept for an hour only."""
PRIORITIES = (2, 5)
VACUUM_EVERY = 100
"""Resets."""
LOCK_TIMEOUT = "8ms"

_TABLES = (
    "ready, delayed, lease, long_lease, cancel_request, unique_key, finished, dead, attempt, log, "
    "job, lane, worker, waiter, lease_clock, floor, mark, straggler, passed, cursor, tally, "
    "counter, queue, drain_request, operation"
)
RESET = f"""
{" ".join(f"delete from pgq.{table};" for table in _TABLES.split(", "))}
select setval(s.oid::regclass, 1, false)
from pg_class s
where s.relnamespace = 'pgq'::regnamespace and s.relkind = 'S' and s.relname <> 'job_id_seq';
select setval('pgq.job_id_seq', pgq._today()::bigint << 32);
insert into pgq.lease_clock (at, clock) values (clock_timestamp(), '2030-01-01');
insert into pgq.queue (queue, keep_finished) values ('{QUEUES[-1]}', '1 hour');
"""
SETTINGS = f"""
select pgq.configure(
    p_lease => '{model.LEASE}', p_heartbeat => '{model.HEARTBEAT}', p_timeout => '{model.TIMEOUT}',
    p_max_attempts => {model.MAX_ATTEMPTS}, p_max_crashes => {model.MAX_CRASHES},
    p_backoff_base => '{model.BACKOFF}', p_backoff_max => '{model.BACKOFF_MAX}',
    p_result_limit => {model.RESULT_LIMIT}, p_unknown_task_after => '{model.HOUR}'
)
"""
_COLUMNS = (
    "kind", "id", "lane", "attempt", "crashes", "suspect", "flag", "unknown", "why", "token",
    "worker", "executor", "at", "overdue", "n",
)  # fmt: skip
_TYPES = (
    "text", "bigint", "bigint", "integer", "integer", "boolean", "boolean", "text", "text", "uuid",
    "bigint", "integer", "timestamptz", "timestamptz", "bigint",
)  # fmt: skip
_UNKNOWN = (
    "case when unknown_since is null then 'no' "
    "when unknown_since < clock_timestamp() - interval '1 hour' then 'old' else 'new' end"
)
_WAITS: dict[str, str] = {
    "id": "job_id",
    "lane": "lane",
    "attempt": "attempt",
    "crashes": "crashes",
    "suspect": "suspect",
    "flag": "has_key",
    "unknown": _UNKNOWN,
}
_SIGHTS: tuple[tuple[str, str, dict[str, str]], ...] = (
    ("ready", "pgq.ready", {**_WAITS, "n": "seq"}),
    ("delayed", "pgq.delayed", {**_WAITS, "why": "why", "at": "run_at"}),
    (
        "lease",
        "pgq.lease",
        {
            **_WAITS,
            "token": "token",
            "worker": "worker",
            "executor": "executor",
            "at": "expires_at",
            "overdue": "overdue_at",
        },
    ),
    (
        "finished",
        "pgq.finished",
        {"id": "job_id", "lane": "lane", "attempt": "attempt", "why": "outcome", "token": "token"},
    ),
    (
        "dead",
        "pgq.dead",
        {
            "id": "job_id",
            "attempt": "attempt",
            "crashes": "crashes",
            "flag": "has_key",
            "why": "reason",
            "at": "died_at",
        },
    ),
    (
        "job",
        "pgq.job",
        {
            "id": "id",
            "attempt": "priority",
            "flag": "starts_with(task, 'pgq.')",
            "why": "queue",
            "at": "run_at",
        },
    ),
    (
        "attempt",
        "pgq.attempt",
        {
            "id": "job_id",
            "attempt": "attempt",
            "flag": "charged",
            "why": "reason",
            "token": "token",
        },
    ),
    ("key", "pgq.unique_key", {"id": "job_id", "why": "queue || '/' || key"}),
    ("request", "pgq.cancel_request", {"id": "job_id", "token": "token"}),
    ("drain", "pgq.drain_request", {"id": "worker"}),
    (
        "operation",
        "pgq.operation",
        {"id": "id", "attempt": "done", "why": "state", "n": "walked_to"},
    ),
    ("worker", "pgq.worker", {"id": "id", "flag": "state = 'offline'", "at": "expires_at"}),
    (
        "queue",
        "pgq.queue",
        {"why": "queue", "flag": "paused_at is not null", "attempt": "max_attempts"},
    ),
    ("lines", "pgq.log", {"id": "job_id", "n": "1"}),
    (
        "clock",
        "(select clock, at, lag(at) over (order by id) as before"
        " from (select * from pgq.lease_clock order by id desc limit 2) t"
        " order by id desc limit 1) c",
        {"at": "clock", "flag": "at - before not between interval '0' and interval '2 s'"},
    ),
)
LOOK = " union all ".join(
    "select "
    + ", ".join(
        f"({({'kind': repr(kind)} | columns).get(name, 'null')})::{of_type} as {name}"
        for name, of_type in zip(_COLUMNS, _TYPES, strict=True)
    )
    + f" from {relation}"
    for kind, relation, columns in _SIGHTS
)
PLACES = ("ready", "delayed", "lease", "finished", "dead")


@dataclass(frozen=True)
class Seen:
    """A row of the database."""

    kind: str
    id: int
    lane: int | None
    attempt: int
    crashes: int
    suspect: bool
    flag: bool
    unknown: str
    why: str
    token: UUID | None
    worker: int
    executor: int
    at: datetime | None
    overdue: datetime | None
    n: int


@dataclass
class Sight:
    """What a session sees."""

    stands: dict[int, Seen] = field(default_factory=dict)
    """Where each job stands."""
    asked: dict[int, Seen] = field(default_factory=dict)
    """What each job is."""
    attempts: dict[int, list[Seen]] = field(default_factory=lambda: defaultdict(list))
    lines: Counter[int] = field(default_factory=Counter)
    keys: dict[str, int] = field(default_factory=dict)
    requests: set[tuple[int, UUID | None]] = field(default_factory=set)
    draining: set[int] = field(default_factory=set)
    operations: dict[int, Seen] = field(default_factory=dict)
    workers: dict[int, Seen] = field(default_factory=dict)
    queues: dict[str, Seen] = field(default_factory=dict)
    clock: Seen | None = None

    def add(self, seen: Seen) -> None:
        """Enter a row; two states of one job are what must never be."""
        if seen.kind in PLACES:
            if other := self.stands.get(seen.id):
                raise Broken(f"job {seen.id} stands in {other.kind} and in {seen.kind}")
            self.stands[seen.id] = seen
        elif seen.kind == "job":
            self.asked[seen.id] = seen
        elif seen.kind == "attempt":
            self.attempts[seen.id].append(seen)
        elif seen.kind == "lines":
            self.lines[seen.id] += 1
        elif seen.kind == "key":
            self.keys[seen.why] = seen.id
        elif seen.kind == "request":
            self.requests.add((seen.id, seen.token))
        elif seen.kind == "drain":
            self.draining.add(seen.id)
        elif seen.kind == "operation":
            self.operations[seen.id] = seen
        elif seen.kind == "worker":
            self.workers[seen.id] = seen
        elif seen.kind == "queue":
            self.queues[seen.why] = seen
        else:
            self.clock = seen


class Field:
    """Sessions with a database that has the schema; each simulation finds it as good as new."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._stack = ExitStack()
        self._sessions: list[Session] = []
        self._types: dict[str, dict[str, str]] = {}
        self._resets = 0
        self.journal: list[tuple[int, sql.Composed | sql.SQL, Mapping[str, Any], str]] = []
        self.calls: Counter[str] = Counter()
        self.lanes: dict[int, Lane] = {}

    def __enter__(self) -> Self:
        for _ in range(SESSIONS + 1):
            session = self._stack.enter_context(opened(self._dsn))
            session.prepare_threshold = 5
            session.execute(f"set lock_timeout = '{LOCK_TIMEOUT}'")
            self._sessions.append(session)
        owner = self._sessions[OWNER]
        owner.execute(SETTINGS)
        for verb, names, types in owner.execute(
            "select p.proname, p.proargnames[1:p.pronargs], array("
            " select format_type(t.type, null)"
            " from unnest(p.proargtypes) with ordinality t (type, n) order by t.n)"
            " from pg_proc p where p.pronamespace = 'pgq'::regnamespace"
        ):
            self._types[verb] = dict(zip(names or [], types, strict=True))
        for kind in itertools.product(QUEUES, PRIORITIES, (False, True), (False, True)):
            (lane,) = owner.execute("select pgq._lane(%s, %s, %s, %s)", kind).fetchone() or (0,)
            self.lanes[lane] = kind
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    def reset(self, chance: float) -> datetime:
        """Take all jobs away; what the lease clock shows. `chance` seeds what Postgres draws."""
        for session in self._sessions:
            session.rollback()
            session.execute("select setseed(%s)", [chance])
        owner = self._sessions[OWNER]
        owner.execute(RESET.encode())
        self._resets += 1
        if self._resets % VACUUM_EVERY == 0:
            owner.execute("vacuum")
        self.journal.clear()
        (clock,) = owner.execute("select pgq._clock()").fetchone() or (None,)
        assert isinstance(clock, datetime)
        return clock

    # Statements

    def run(
        self, session: int, text: str, values: Mapping[str, Any] | None = None
    ) -> list[tuple[Any, ...]]:
        """A statement's rows."""
        return self._run(session, sql.SQL(text), values or {})

    def call(
        self, session: int, verb: str, arguments: Mapping[str, Any], *, may_fail: bool
    ) -> list[tuple[Any, ...]] | Refused:
        """What a verb answers, or the refusal; see `ask`."""
        self.calls[verb] += 1
        types = self._types[verb]
        statement = sql.SQL("select * from pgq.{}({})").format(
            sql.Identifier(verb),
            sql.SQL(", ").join(
                sql.SQL("{} => {}::{}").format(
                    sql.Identifier(f"p_{name}"),
                    sql.Placeholder(name),
                    sql.SQL(types[f"p_{name}"]),
                )
                for name in arguments
            ),
        )
        return self.ask(session, statement, arguments, may_fail=may_fail)

    def ask(
        self,
        session: int,
        statement: sql.Composed | sql.SQL,
        values: Mapping[str, Any],
        *,
        may_fail: bool,
    ) -> list[tuple[Any, ...]] | Refused:
        """A statement's rows, or the refusal; a transaction goes on after it if it `may_fail`."""
        is_saved = may_fail and self._sessions[session].info.transaction_status != _IDLE
        if is_saved:
            self.run(session, "savepoint s")
        try:
            rows = self._run(session, statement, values)
        except psycopg.Error as error:
            if is_saved:
                self.run(session, "rollback to savepoint s")
            if error.sqlstate is None:
                raise
            return Refused(error.sqlstate)
        if is_saved:
            self.run(session, "release savepoint s")
        return rows

    def _run(
        self, session: int, statement: sql.Composed | sql.SQL, values: Mapping[str, Any]
    ) -> list[tuple[Any, ...]]:
        said = "…"
        try:
            cursor = self._sessions[session].execute(statement, values)
            rows = cursor.fetchall() if cursor.description else []
            said = "; ".join(map(_text, rows))
        except psycopg.Error as error:
            said = f"{error.sqlstate} {error.diag.message_primary}"
            if error.sqlstate == model.BLOCKED:
                said += f" ({error.diag.context})".replace("\n", ", ")
            raise
        finally:
            self.journal.append((session, statement, values, said))
        return rows

    def look(self, session: int) -> Sight:
        """Everything that a session sees."""
        sight = Sight()
        for row in self._sessions[session].execute(LOOK):
            sight.add(Seen(*row))
        return sight

    def told(self) -> list[str]:
        """The statements, as one would type them, each with its session and its answer."""
        cursor = psycopg.ClientCursor(self._sessions[OWNER])
        return [
            f"{session if session != OWNER else 'owner'}: "
            f"{cursor.mogrify(statement, values or None)};  -- {said}"
            for session, statement, values, said in self.journal
        ]


_IDLE = psycopg.pq.TransactionStatus.IDLE


def _text(row: Sequence[Any]) -> str:
    return ", ".join(map(str, row))
