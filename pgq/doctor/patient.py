"""The facts that checks look at: each is asked for once, when the first check wants it."""

from __future__ import annotations

import re
import time
import uuid
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from pgq import config, database, schema, sources
from pgq.config import Settings
from pgq.errors import PgqError
from pgq.hosts import is_loopback

Row = dict[str, Any]

STATEMENT_TIMEOUT = 10.0
"""Seconds that one fact may take."""
ECHO = 2.0
"""Seconds in which a notification has to come back."""
PAUSE = 2.5
"""Seconds between two looks at what should move."""

_LITERAL = re.compile(
    r"""
    (?P<kept> "(?:""|[^"])*" )
    | (?P<comment> --[^\n]* | /\*.*?(?:\*/|\Z) )
    | \b[eE]'(?:\\.|''|[^'\\])*(?:'|\Z)
    | '(?:''|[^'])*(?:'|\Z)
    | \$(?P<tag>[A-Za-z_]\w*)?\$.*?(?:\$(?(tag)(?P=tag))\$|\Z)
    | (?<![\w$."])\d+(?:\.\d+)?(?:[eE][+-]?\d+)?\b
    """,
    re.DOTALL | re.VERBOSE,
)


class Patient:
    """A queue to be examined. Only what the doctor's own role may see is seen."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._unreachable: PgqError | None = None

    # The connection

    @cached_property
    def dsn(self) -> str:
        return config.dsn(self.settings)

    @cached_property
    def session(self) -> psycopg.Connection[Any]:
        """Tried once. Raises `Unavailable`."""
        if self._unreachable is not None:
            raise self._unreachable
        try:
            return database.connect(
                self.dsn, application_name="pgq doctor", statement_timeout=STATEMENT_TIMEOUT
            )
        except PgqError as error:
            self._unreachable = error
            raise

    @property
    def why_unreachable(self) -> str | None:
        """Why there is no session, or None."""
        try:
            _ = self.session
        except PgqError as error:
            return str(error)
        return None

    def close(self) -> None:
        """End the session."""
        if "session" in self.__dict__:
            self.session.close()

    @cached_property
    def exposed_files(self) -> list[str]:
        """Files of settings with a password that everybody on this machine may read."""
        layers = sources.layers(Settings, config.variables())
        return [str(file) for file in sources.exposed(layers)]

    @cached_property
    def host(self) -> str:
        """The server's address as the session knows it; a folder for a Unix socket."""
        return self.session.info.hostaddr or self.session.info.host

    @property
    def is_local(self) -> bool:
        """Whether nothing between here and the server is a network."""
        is_socket = not self.host or self.host.startswith(("/", "@"))
        return is_socket or is_loopback(self.host)

    @cached_property
    def is_encrypted(self) -> bool:
        return bool(self.session.pgconn.ssl_in_use)

    @cached_property
    def is_pooled(self) -> bool:
        """Whether a pooler stands between."""
        return database.is_pooled(self.session)

    @cached_property
    def clock_skew(self) -> float:
        """Seconds that this machine's clock is ahead of the database's, give or take the trip."""
        before = self.local_now()
        (there,) = database.fetch_one(self.session, "select clock_timestamp()")
        after = self.local_now()
        return float(((before + (after - before) / 2) - there).total_seconds())

    @staticmethod
    def local_now() -> datetime:
        return datetime.now(UTC)

    @cached_property
    def echo(self) -> bool:
        """Whether a notification reaches a session that listens."""
        channel = sql.Identifier(f"pgq_doctor_{uuid.uuid4().hex}")
        where = self.settings.listen_url or self.dsn
        with database.connect(where, application_name="pgq doctor listener") as listener:
            listener.execute(sql.SQL("listen {}").format(channel))
            self.session.execute(sql.SQL("notify {}").format(channel))
            return any(True for _ in listener.notifies(timeout=ECHO, stop_after=1))

    # What Postgres says of itself

    @cached_property
    def server_settings(self) -> dict[str, str]:
        """As they hold for this session, in the units in which the server counts them."""
        rows = self.rows("select s.name, s.setting from pg_settings s")
        return {row["name"]: row["setting"] or "" for row in rows}

    @cached_property
    def server(self) -> Row:
        return self.row(
            """
            select
                current_setting('server_version') as version,
                current_setting('server_version_num')::integer as number,
                pg_is_in_recovery() as is_standby,
                pg_encoding_to_char(d.encoding) as encoding,
                age(d.datfrozenxid) as xid_age,
                current_database() as database,
                current_user as role
            from pg_database d
            where d.datname = current_database()
            """
        )

    @cached_property
    def transactions(self) -> list[Row]:
        """Of this database, the oldest first; `query` as far as the role may see it."""
        found = self.rows(
            """
            select
                a.pid,
                a.usename as user,
                a.application_name as application,
                a.state,
                extract(epoch from clock_timestamp() - a.xact_start)::float8 as seconds,
                left(a.query, 2000) as query
            from pg_stat_activity a
            where a.datname = current_database()
                and a.xact_start is not null
                and a.pid <> pg_backend_pid()
                and coalesce(a.backend_type, '') not like 'autovacuum%'
            order by a.xact_start
            limit 20
            """
        )
        return [{**row, "query": masked(row["query"] or "")} for row in found]

    @cached_property
    def prepared(self) -> list[Row]:
        return self.rows(
            """
            select
                p.gid,
                p.owner as user,
                extract(epoch from clock_timestamp() - p.prepared)::float8 as seconds
            from pg_prepared_xacts p
            where p.database = current_database()
            order by p.prepared
            limit 20
            """
        )

    @cached_property
    def slots(self) -> list[Row]:
        return self.rows(
            """
            select
                s.slot_name as name,
                s.active,
                greatest(age(s.xmin), age(s.catalog_xmin), 0) as xids,
                case when not pg_is_in_recovery() then greatest(
                    pg_wal_lsn_diff(pg_current_wal_lsn(), s.restart_lsn), 0
                ) end::float8 as wal_bytes
            from pg_replication_slots s
            """
        )

    @cached_property
    def relations(self) -> list[Row]:
        """Our tables with their storage options."""
        return self.rows(
            """
            select c.relname as name, coalesce(c.reloptions, '{}') as options
            from pg_class c
            where c.relnamespace = to_regnamespace('pgq') and c.relkind = 'r'
            order by 1
            """
        )

    @cached_property
    def broken_indexes(self) -> list[str]:
        rows = self.rows(
            """
            select i.indexrelid::regclass::text as name
            from pg_index i
            join pg_class c on c.oid = i.indrelid
            where c.relnamespace = to_regnamespace('pgq')
                and c.relkind = 'r'
                and not (i.indisvalid and i.indisready and i.indislive)
            """
        )
        return [row["name"] for row in rows]

    @cached_property
    def disabled_triggers(self) -> list[str]:
        rows = self.rows(
            """
            select format('%s on %s', t.tgname, t.tgrelid::regclass) as name
            from pg_trigger t
            join pg_class c on c.oid = t.tgrelid
            where c.relnamespace = to_regnamespace('pgq') and t.tgenabled <> 'O'
            """
        )
        return [row["name"] for row in rows]

    @cached_property
    def routines(self) -> dict[str, Row]:
        rows = self.rows(
            """
            select
                p.proname as name,
                p.prosrc as body,
                p.prosecdef as is_definer,
                'search_path=""' = any(p.proconfig) as is_pinned,
                array(
                    select r.rolname
                    from pg_roles r
                    where r.rolname like 'pgq\\_%'
                        and has_function_privilege(r.oid, p.oid, 'execute')
                ) as roles,
                exists (
                    select
                    from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
                    where a.grantee = 0
                ) as is_public
            from pg_proc p
            where p.pronamespace = to_regnamespace('pgq')
            """
        )
        return {row["name"]: row for row in rows}

    @cached_property
    def roles(self) -> set[str]:
        """Those of ours that the cluster has."""
        rows = self.rows("select r.rolname from pg_roles r where r.rolname like 'pgq\\_%'")
        return {row["rolname"] for row in rows}

    @cached_property
    def missing_rights(self) -> list[str]:
        """Of our roles on the schema, and of producers on the table of jobs."""
        rows = self.rows(
            """
            select format('%%s may not use the schema', r.rolname) as what
            from pg_roles r
            where r.rolname = any(%(roles)s) and not has_schema_privilege(r.oid, 'pgq', 'usage')
            union all
            select format('%%s may not %%s', r.rolname, v.what)
            from pg_roles r
            cross join lateral (values
                ('insert jobs', has_column_privilege(r.oid, 'pgq.job', 'payload', 'insert')
                    and has_column_privilege(r.oid, 'pgq.job', 'task', 'insert')),
                ('read ids', has_column_privilege(r.oid, 'pgq.job', 'id', 'select')),
                ('draw ids', has_sequence_privilege(r.oid, 'pgq.job_id_seq', 'usage'))
            ) v (what, is_allowed)
            where r.rolname = 'pgq_enqueuer' and not v.is_allowed
            """,
            {"roles": list(schema.ROLES)},
        )
        return [row["what"] for row in rows]

    # What the queue says of itself

    @cached_property
    def version(self) -> int:
        return int(self.verb("version", "answer")[0]["answer"])

    @cached_property
    def health(self) -> Row:
        return self.verb(
            "database_health",
            "database_now, upkeep_seconds, floor_seconds, stragglers, days_ahead, repaired, "
            "oldest_seconds, oldest_pid, oldest_user, oldest_application, oldest_state, "
            "notification_queue, connections, max_connections",
        )[0]

    @cached_property
    def tables(self) -> list[Row]:
        return self.verb("list_tables", "relation, size_bytes, live_rows, dead_rows, vacuumed_at")

    @cached_property
    def days(self) -> list[Row]:
        return self.verb("list_days", "day, size_bytes, expired, is_live")

    @cached_property
    def sequences(self) -> list[Row]:
        return self.verb("list_sequences", "sequence, last_value, most")

    @cached_property
    def queues(self) -> list[Row]:
        return self.verb(
            "list_queues",
            "queue, paused_at, ready, running, workers, oldest_ready_at, "
            "extract(epoch from clock_timestamp() - oldest_ready_at)::float8 as oldest_seconds",
        )

    @cached_property
    def workers(self) -> list[Row]:
        return self.verb(
            "list_workers",
            "id, name, state, heartbeat_at, "
            "extract(epoch from clock_timestamp() - heartbeat_at)::float8 as silent_seconds",
        )

    @cached_property
    def unknown_tasks(self) -> list[Row]:
        return self.verb("list_unknown_tasks", "queue, task, n")

    @cached_property
    def expiring_tokens(self) -> list[Row]:
        return self.verb(
            "list_expiring_tokens",
            "id, name, extract(epoch from expires_at - clock_timestamp())::float8 as seconds_left",
        )

    def operations(self) -> list[Row]:
        """Those that run or have failed, as they are now."""
        found = self.verb("list_operations", "id, verb, state, done, found, skipped, message, rate")
        return [row for row in found if row["state"] in ("running", "failed")]

    @cached_property
    def still_operations(self) -> list[Row]:
        """Those that failed, and those that run and do not get on."""
        before = {row["id"]: row for row in self.operations()}
        if any(row["state"] == "running" for row in before.values()):
            time.sleep(PAUSE)
        return [
            row
            for row in self.operations()
            if row["state"] == "failed" or row == before.get(row["id"])
        ]

    def counted(self, minutes: int) -> dict[tuple[str, str], float]:
        """By metric and label, how many there were in the last so many minutes."""
        rows = self.rows(
            "select s.at, s.metric, s.label, s.n from pgq.list_samples("
            "p_after => clock_timestamp() - make_interval(mins => %s)) s",
            (minutes + 1,),
        )
        if not rows:
            return {}
        first, last = rows[0]["at"], rows[-1]["at"]
        older = {(row["metric"], row["label"]): row["n"] for row in rows if row["at"] == first}
        return {
            (row["metric"], row["label"]): row["n"] - older.get((row["metric"], row["label"]), 0)
            for row in rows
            if row["at"] == last
        }

    # Asking

    def verb(self, name: str, columns: str) -> list[Row]:
        """What a reader verb tells."""
        return self.rows(f"select {columns} from pgq.{name}() as answer")

    def row(self, query: str) -> Row:
        return self.rows(query)[0]

    def rows(self, query: str, values: Any = None) -> list[Row]:
        with database.translated(), self.session.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(query.encode(), values).fetchall()


def masked(query: str) -> str:
    """A statement without what may be secret in it: its literals, and its comments."""

    def hidden(found: re.Match[str]) -> str:
        return found["kept"] or (" " if found["comment"] else "?")

    return " ".join(_LITERAL.sub(hidden, query).split())[:200]
