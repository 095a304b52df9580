"""What the tests of the verbs share: calling them, racing them, and moving the ages of rows."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import dict_row

import pooler

Conn = psycopg.Connection[Any]
Row = dict[str, Any]

DEADLINE_SECONDS = 20.0


# Statements -----------------------------------------------------------------------------------


def connect(dsn: str, *, autocommit: bool = True) -> Conn:
    """Opens another session; statements that hang for 20 s fail."""
    session = psycopg.connect(dsn, autocommit=autocommit)
    session.execute("set statement_timeout = '20s'")
    if not autocommit:
        session.commit()
    return session


@contextmanager
def acting(session: Conn, role: str) -> Iterator[None]:
    """What is done as another role, in one transaction, so that a pooler is no matter."""
    with session.transaction():
        session.execute(f"set local role {role}")
        yield


def rows(conn: Conn, query: str, params: Any = None) -> list[Row]:
    with conn.cursor(row_factory=dict_row) as cursor:
        cursor.execute(query, params)
        return cursor.fetchall() if cursor.description else []


def row(conn: Conn, query: str, params: Any = None) -> Row:
    (only,) = rows(conn, query, params)
    return only


def value(conn: Conn, query: str, params: Any = None) -> Any:
    (only,) = row(conn, query, params).values()
    return only


def column(conn: Conn, query: str, params: Any = None) -> list[Any]:
    return [next(iter(each.values())) for each in rows(conn, query, params)]


def call(conn: Conn, verb: str, /, **arguments: Any) -> list[Row]:
    """Calls `pgq.<verb>` with arguments named without their `p_`, cast to the types it declares."""
    types = _argument_types(conn, verb)
    listed = sql.SQL(", ").join(
        sql.SQL("{} => {}::{}").format(
            sql.Identifier(f"p_{name}"), sql.Placeholder(name), sql.SQL(types[f"p_{name}"])
        )
        for name in arguments
    )
    query = sql.SQL("select * from pgq.{}({})").format(sql.Identifier(verb), listed)
    with _caller(conn) as session, session.cursor(row_factory=dict_row) as cursor:
        cursor.execute(query, arguments)
        return cursor.fetchall()


@contextmanager
def _caller(conn: Conn) -> Iterator[Conn]:
    """Who calls a verb: the session itself, or one through the pooler.

    The session where it is in a transaction, and in the background, where its locks are watched.
    """
    idle = conn.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
    in_front = threading.current_thread() is threading.main_thread()
    if not (pooler.WANTED and idle and conn.autocommit and in_front):
        yield conn
        return
    with pooler.session_through(conn) as session:
        yield session


def answer(conn: Conn, verb: str, /, **arguments: Any) -> Any:
    """The single value that a verb returns."""
    (only,) = call(conn, verb, **arguments)
    (result,) = only.values()
    return result


_SIGNATURES: dict[str, dict[str, str]] = {}


def _argument_types(conn: Conn, verb: str) -> dict[str, str]:
    if verb not in _SIGNATURES:
        found = row(
            conn,
            "select p.proargnames[1:p.pronargs] as names, array("
            " select format_type(t.type, null)"
            " from unnest(p.proargtypes) with ordinality t (type, n) order by t.n) as types "
            "from pg_proc p where p.pronamespace = 'pgq'::regnamespace and p.proname = %s",
            [verb],
        )
        _SIGNATURES[verb] = dict(zip(found["names"] or [], found["types"], strict=True))
    return _SIGNATURES[verb]


@dataclass
class Refusal:
    """What the database said when it refused a statement."""

    message: str = ""
    detail: str = ""
    hint: str = ""


@contextmanager
def refused(code: str) -> Iterator[Refusal]:
    """The block's last statement is refused with this SQLSTATE."""
    said = Refusal()
    with pytest.raises(psycopg.Error) as caught:
        yield said
    assert caught.value.sqlstate == code, caught.value
    diagnosis = caught.value.diag
    said.message = diagnosis.message_primary or ""
    said.detail = diagnosis.message_detail or ""
    said.hint = diagnosis.message_hint or ""


# Jobs -----------------------------------------------------------------------------------------


def insert(conn: Conn, count: int = 1, **columns: Any) -> list[int]:
    """Inserts jobs as any caller would, and returns their ids."""
    columns = {"task": "echo"} | columns
    query = sql.SQL(
        "insert into pgq.job ({}) select {} from generate_series(1, {}) returning id"
    ).format(
        sql.SQL(", ").join(map(sql.Identifier, columns)),
        sql.SQL(", ").join(
            sql.SQL("{}::{}").format(sql.Placeholder(name), sql.SQL(_COLUMNS.get(name, "text")))
            for name in columns
        ),
        sql.Literal(count),
    )
    return [found[0] for found in conn.execute(query, columns).fetchall()]


_COLUMNS = {
    "payload": "json",
    "priority": "integer",
    "run_at": "timestamptz",
    "max_attempts": "integer",
    "timeout": "interval",
    "backoff_base": "interval",
    "backoff_max": "interval",
    "tags": "text[]",
    "headers": "json",
}


def state(conn: Conn, job: int) -> str | None:
    found = column(conn, "select s.state from pgq.job_status s where s.id = %s", [job])
    return found[0] if found else None


def attempts(conn: Conn, job: int) -> list[Row]:
    return rows(conn, "select * from pgq.attempt a where a.job_id = %s order by a.ended_at", [job])


def register(conn: Conn, *queues: str, slots: int = 10, name: str = "worker") -> int:
    (found,) = call(
        conn, "register_worker", name=name, queues=list(queues) or ["default"], slots=slots
    )
    return int(found["worker"])


def claim(
    conn: Conn,
    *,
    worker: int = 0,
    executor: int = 1,
    token: uuid.UUID | None = None,
    queues: Sequence[str] = ("default",),
    limits: Sequence[int] | int = 1,
    lease: str | None = None,
    suspects: bool | None = None,
    limit: int | None = None,
    reserved: bool = False,
) -> list[Row]:
    if isinstance(limits, int):
        limits = [limits] * len(queues)
    return call(
        conn,
        "claim",
        worker=worker,
        executor=executor,
        token=token or uuid.uuid4(),
        queues=list(queues),
        limits=list(limits),
        lease=lease,
        suspects=suspects,
        limit=limit,
        reserved=reserved,
    )


def claim_one(conn: Conn, **arguments: Any) -> Row:
    (lease,) = claim(conn, **arguments)
    return lease


def running(conn: Conn, *, worker: int = 0, **columns: Any) -> Row:
    """A new job's lease."""
    (job,) = insert(conn, **columns)
    queue = columns.get("queue", "default")
    lease = claim_one(conn, worker=worker, queues=[queue], suspects=False, reserved=True)
    assert lease["id"] == job
    return lease


def hold(lease: Row) -> dict[str, Any]:
    """Arguments that name a lease, for verbs about one job."""
    return {"id": lease["id"], "token": lease["token"]}


def hold_all(*leases: Row) -> dict[str, Any]:
    """Arguments that name leases, for verbs about many jobs."""
    return {"ids": [each["id"] for each in leases], "tokens": [each["token"] for each in leases]}


# Ages -----------------------------------------------------------------------------------------


def upkeep_goes_on(conn: Conn) -> None:
    """Makes the last tick of the lease clock a recent one, so that the next comes after no gap."""
    conn.execute("insert into pgq.lease_clock (at, clock) select clock_timestamp(), pgq._clock()")


def move_clock(conn: Conn, interval: str) -> None:
    """Moves the lease clock on as many rounds of upkeep would."""
    conn.execute(
        "insert into pgq.lease_clock (at, clock)"
        " select clock_timestamp(), pgq._clock() + %s::interval",
        [interval],
    )


def prolong(conn: Conn) -> None:
    """Makes the present leases older than two heartbeats, and lets upkeep see that."""
    for _ in range(2):
        upkeep_goes_on(conn)
        answer(conn, "reap")
    conn.execute("update pgq.mark set noted_at = noted_at - interval '1 minute'")
    upkeep_goes_on(conn)
    answer(conn, "reap")


def lose(conn: Conn, worker: int) -> int:
    """The worker is not heard of any more; how many jobs upkeep then took from it."""
    prolong(conn)
    conn.execute("update pgq.worker set expires_at = pgq._clock() where id = %s", [worker])
    upkeep_goes_on(conn)
    return int(answer(conn, "reap"))


def settle(conn: Conn) -> None:
    """Moves every floor to where it may stand now."""
    for _ in range(3):
        conn.execute("update pgq.floor set at = at - interval '1 minute'")
        conn.execute("select pgq.settle()")


def floor(conn: Conn, queue: str = "default", priority: int = 5) -> int:
    """The floor of a lane, 0 when it has none."""
    return int(
        value(
            conn,
            "select coalesce(max(f.floor), 0) from pgq.floor f where f.lane = pgq._lane(%s, %s)",
            [queue, priority],
        )
    )


def repeat_sweep(conn: Conn, *streams: str) -> None:
    """Lets what upkeep does only now and then be due."""
    conn.execute(
        "update pgq.cursor set at = at - interval '1 hour' where stream = any (%s)",
        [list(streams)],
    )


# Other sessions -------------------------------------------------------------------------------


@contextmanager
def in_background(work: Callable[[], Any]) -> Iterator[Future[Any]]:
    """Runs this beside the block, and waits for it at the end."""
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(work)


def wait_until(condition: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.002)


def wait_for_lock(conn: Conn, session: Conn) -> None:
    """Waits until the other session waits for a lock."""
    pid = session.info.backend_pid
    wait_until(
        lambda: column(
            conn,
            "select 1 from pg_stat_activity where pid = %s and wait_event_type = 'Lock'",
            [pid],
        ),
        f"session {pid} waits for a lock",
    )


# Days -----------------------------------------------------------------------------------------


def day_of_ids(conn: Conn, days_ago: int) -> int:
    """Lets new ids name a day of the past, as if no upkeep had run since; which day that is."""
    day = int(value(conn, "select pgq._today() - %s", [days_ago]))
    if not value(conn, "select to_regclass('pgq.' || pgq._partition_name('job', %s))", [day]):
        conn.execute("select setval('pgq.job_id_seq', %s)", [day << 32])
        conn.execute("select pgq.partition()")
    conn.execute("select setval('pgq.job_id_seq', %s)", [(day << 32) + 100])
    return day


def days(conn: Conn, table: str = "job") -> list[int]:
    """The days that have a partition."""
    return [
        int(each)
        for each in column(
            conn,
            "select to_date(right(c.relname, 8), 'YYYYMMDD') - date '1970-01-01'"
            " from pg_inherits i join pg_class c on c.oid = i.inhrelid"
            " where i.inhparent = format('pgq.%%I', %s::text)::regclass order by 1",
            [table],
        )
    ]
