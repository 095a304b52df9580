"""The migrator."""

from __future__ import annotations

import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

import servers
from pgq import schema
from pgq.errors import Busy, SchemaMismatch
from pgq.postgres import Postgres

ROLES = ("pgq_admin", "pgq_enqueuer", "pgq_operator", "pgq_viewer", "pgq_worker")


def ask(dsn: str, query: str) -> Any:
    with psycopg.connect(dsn, autocommit=True) as session:
        return session.execute(query.encode()).fetchall()


def run(dsn: str, *statements: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as session:
        for statement in statements:
            session.execute(statement.encode())


def dump(dsn: str) -> list[str]:
    """The schema as text, without what differs from dump to dump."""
    done = subprocess.run(
        [servers.program("pg_dump"), "--schema-only", "--schema=pgq", f"--dbname={dsn}"],
        capture_output=True,
        text=True,
        check=True,
    )
    noise = ("--", "\\restrict", "\\unrestrict")
    return [line for line in done.stdout.splitlines() if line and not line.startswith(noise)]


def test_a_job_can_be_inserted_right_after_the_first_migration(empty_dsn: str) -> None:
    report = schema.migrate(empty_dsn)
    assert (report.before, report.after) == (0, schema.VERSION)
    assert report.applied == tuple(migration.name for migration in schema.migrations())
    run(empty_dsn, "insert into pgq.job (task) values ('echo')")
    assert ask(empty_dsn, "select count(*) from pgq.ready") == [(1,)]


def test_twenty_migrators_at_once_all_succeed(empty_dsn: str) -> None:
    with ThreadPoolExecutor(20) as pool:
        reports = list(pool.map(schema.migrate, [empty_dsn] * 20))
    assert sorted(len(report.applied) for report in reports)[-2:] == [0, len(schema.migrations())]
    assert ask(empty_dsn, "select max(version) from pgq.migration") == [(schema.VERSION,)]


def test_migrating_again_changes_nothing(dsn: str) -> None:
    before = dump(dsn)
    assert schema.migrate(dsn).applied == ()
    assert dump(dsn) == before


def test_the_printed_script_does_what_migrate_does(dsn: str, empty_dsn: str) -> None:
    for _ in range(2):
        subprocess.run(
            [servers.program("psql"), "-X", "-q", empty_dsn],
            input=schema.script(),
            text=True,
            capture_output=True,
            check=True,
        )
    assert dump(empty_dsn) == dump(dsn)


def test_an_upgraded_schema_equals_a_fresh_one(
    dsn: str, empty_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one migration this is trivially so; it bites from the second one on."""
    every = schema.migrations()
    for migration in every:
        with monkeypatch.context() as patch:
            shipped = [other for other in every if other.version <= migration.version]
            patch.setattr(schema, "migrations", lambda shipped=shipped: shipped)
            patch.setattr(schema, "VERSION", migration.version)
            assert schema.migrate(empty_dsn).applied == (migration.name,)
    assert dump(empty_dsn) == dump(dsn)


@pytest.mark.parametrize(
    "statement",
    [
        "create table pgq.queue (queue_id integer)",
        "create table pgq.migration (id integer)",
        "create table pgq.migration (version integer, name text)",
        "create view pgq.migration as select 1 as id",
        "create sequence pgq.s",
        "create type pgq.t as (a integer)",
        "create function pgq.version() returns text language sql as $$ select '3.5' $$",
    ],
)
def test_a_schema_of_another_program_is_refused(empty_dsn: str, statement: str) -> None:
    run(empty_dsn, "create schema pgq", statement)
    before = dump(empty_dsn)
    with pytest.raises(SchemaMismatch, match="holds objects that are not ours"):
        schema.migrate(empty_dsn)
    assert dump(empty_dsn) == before


def test_an_empty_schema_of_its_own_is_taken(empty_dsn: str) -> None:
    run(empty_dsn, "create schema pgq")
    assert schema.migrate(empty_dsn).after == schema.VERSION


def test_a_newer_schema_is_refused_with_both_versions(dsn: str) -> None:
    run(dsn, "insert into pgq.migration (version, name, digest) values (999, '0999_later', '')")
    with pytest.raises(SchemaMismatch, match=f"version 999, newer than version {schema.VERSION} "):
        schema.migrate(dsn)


@pytest.mark.parametrize(
    "change",
    [
        "update pgq.migration set digest = 'another' where version = 1",
        "alter table pgq.migration drop column digest",
    ],
)
def test_a_schema_from_between_two_releases_is_refused_with_what_to_do(
    dsn: str, change: str
) -> None:
    run(dsn, change)
    before = dump(dsn)
    with pytest.raises(SchemaMismatch, match=r"made by another 0001_initial.*drop schema pgq"):
        schema.migrate(dsn)
    assert dump(dsn) == before


def test_a_program_refuses_an_older_schema(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "VERSION", 999)
    remedy = pytest.raises(SchemaMismatch, match=r"older than version 999.*pgq migrate")
    with psycopg.connect(dsn) as session, remedy:
        schema.check(session)


def test_a_program_names_the_remedy_where_there_is_no_schema(empty_dsn: str) -> None:
    with psycopg.connect(empty_dsn) as session, pytest.raises(SchemaMismatch, match="pgq migrate"):
        schema.check(session)


def test_routines_of_older_releases_are_dropped(dsn: str) -> None:
    run(
        dsn,
        "create function pgq.bygone() returns integer language sql as 'select 1'",
        "create function pgq.version(p_old integer) returns integer language sql as 'select 1'",
        "create procedure pgq.bygone_too() language sql as 'select 1'",
    )
    schema.migrate(dsn)
    known = "select count(*) from pg_proc where pronamespace = 'pgq'::regnamespace and "
    assert ask(dsn, f"{known} proname like 'bygone%'") == [(0,)]
    assert ask(dsn, f"{known} proname = 'version'") == [(1,)]


def test_a_verb_may_return_more_columns_than_in_the_last_release(dsn: str) -> None:
    now = ask(dsn, "select pg_get_function_result('pgq.stats'::regproc)")
    run(
        dsn,
        "drop function pgq.stats()",
        "create function pgq.stats() returns table (queue text) language sql as 'select null'",
    )
    schema.migrate(dsn)
    assert ask(dsn, "select pg_get_function_result('pgq.stats'::regproc)") == now


def test_grants_that_users_made_survive_a_migration(dsn: str) -> None:
    run(dsn, "grant execute on function pgq.get_payload to pgq_viewer")
    schema.migrate(dsn)
    granted = "select has_function_privilege('pgq_viewer', 'pgq.get_payload'::regproc, 'execute')"
    assert ask(dsn, granted) == [(True,)]


def test_the_roles_include_each_other(dsn: str) -> None:
    missing = ask(dsn, f"select unnest(array{list(ROLES)}) except select rolname from pg_roles")
    assert missing == []
    for part in ("pgq_enqueuer", "pgq_operator", "pgq_viewer", "pgq_worker"):
        assert ask(dsn, f"select pg_has_role('pgq_admin', '{part}', 'usage')") == [(True,)]
    assert ask(dsn, "select pg_has_role('pgq_worker', 'pgq_operator', 'usage')") == [(False,)]


class TestPlainRole:
    """A role that may do nothing in the cluster and owns nothing but the schema."""

    @pytest.fixture
    def owner_dsn(self, private_server: Postgres) -> str:
        run(
            private_server.dsn,
            "create role owner login nosuperuser nocreaterole nocreatedb",
            "revoke create on database pgq from public",
            "create schema pgq authorization owner",
        )
        return make_conninfo(private_server.dsn, user="owner")

    def test_installs_a_queue_that_it_can_use(self, owner_dsn: str) -> None:
        schema.migrate(owner_dsn)
        run(owner_dsn, "insert into pgq.job (task) values ('echo')")
        assert ask(owner_dsn, "select count(*) from pgq.ready") == [(1,)]

    def test_says_which_roles_are_missing(self, owner_dsn: str) -> None:
        (warning,) = schema.migrate(owner_dsn).warnings
        assert all(f"create role {role} nologin;" in warning for role in ROLES)

    def test_has_the_roles_after_its_advice_was_followed(
        self, owner_dsn: str, private_server: Postgres
    ) -> None:
        (warning,) = schema.migrate(owner_dsn).warnings
        advice = warning.partition("migrate again: ")[2]
        run(private_server.dsn, *advice.split("; "))
        assert schema.migrate(owner_dsn).warnings == ()
        run(
            private_server.dsn,
            "create role producer login in role pgq_enqueuer",
        )
        producer = make_conninfo(private_server.dsn, user="producer")
        run(producer, "insert into pgq.job (task) values ('echo') returning id")

    def test_creates_the_roles_when_it_may(self, owner_dsn: str, private_server: Postgres) -> None:
        run(private_server.dsn, "alter role owner createrole")
        assert schema.migrate(owner_dsn).warnings == ()
        assert ask(owner_dsn, "select pg_has_role('pgq_admin', 'pgq_viewer', 'usage')") == [(True,)]

    def test_is_told_what_to_run_when_it_may_not_create_the_schema(
        self, owner_dsn: str, private_server: Postgres
    ) -> None:
        run(private_server.dsn, "drop schema pgq")
        with pytest.raises(psycopg.errors.InsufficientPrivilege) as caught:
            schema.migrate(owner_dsn)
        assert caught.value.diag.message_hint is not None
        assert "create schema pgq authorization owner" in caught.value.diag.message_hint

    @pytest.mark.parametrize("installed", [False, True])
    def test_leaves_the_schema_of_another_role_alone(
        self, owner_dsn: str, private_server: Postgres, installed: bool
    ) -> None:
        run(private_server.dsn, "alter schema pgq owner to postgres")
        if installed:
            schema.migrate(private_server.dsn)
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="belongs to role postgres"):
            schema.migrate(owner_dsn)


def test_migrations_of_two_databases_do_not_trip_over_their_roles(
    private_server: Postgres,
) -> None:
    names = [f"db{n}" for n in range(6)]
    for name in names:
        run(
            private_server.dsn,
            sql.SQL("create database {}").format(sql.Identifier(name)).as_string(),
        )
    databases = [make_conninfo(private_server.dsn, dbname=name) for name in names]
    with ThreadPoolExecutor(len(databases)) as pool:
        assert [report.warnings for report in pool.map(schema.migrate, databases)] == [()] * 6


# While others work

NEXT = schema.Migration(
    schema.VERSION + 1, f"{schema.VERSION + 1:04}_next", "alter table pgq.job add column next text"
)


@pytest.fixture
def next_release(monkeypatch: pytest.MonkeyPatch) -> None:
    every = [*schema.migrations(), NEXT]
    monkeypatch.setattr(schema, "migrations", lambda: every)
    monkeypatch.setattr(schema, "VERSION", NEXT.version)
    monkeypatch.setattr(schema, "PAUSE", 0.01)


@pytest.mark.usefixtures("next_release")
def test_migration_gives_way_until_a_table_is_free(dsn: str) -> None:
    told: list[str] = []
    with psycopg.connect(dsn, application_name="report") as reader:
        reader.execute("select from pgq.job")

        def end_the_report(holder: str) -> None:
            told.append(holder)
            run(dsn, "insert into pgq.job (task) values ('echo')")
            if len(told) == 2:
                reader.commit()

        report = schema.migrate(dsn, on_wait=end_the_report)
        pid = reader.info.backend_pid
    assert report.applied == (NEXT.name,)
    assert len(told) == 2
    assert all(re.fullmatch(rf"pid {pid} of \w+ \(report\), pgq\.job", each) for each in told)


@pytest.mark.usefixtures("next_release")
def test_migration_that_may_not_begin_says_who_is_in_its_way(dsn: str) -> None:
    with psycopg.connect(dsn, application_name="report") as reader:
        reader.execute("select from pgq.job")
        with pytest.raises(Busy, match=r"in use by pid \d+ of \w+ \(report\)"):
            schema.migrate(dsn, patience=0)
    assert ask(dsn, "select pgq.version()") == [(NEXT.version - 1,)]
