"""Conventions, held over the catalogue of an installed schema and over the tree of the sources."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

import pgq
from pgq import schema

Conn = psycopg.Connection[Any]

CREATED = re.compile(r"^create or replace (?:function|procedure) pgq\.(\w+)", re.MULTILINE)
VIEW = re.compile(r"^create or replace view pgq\.(\w+)", re.MULTILINE)
ROOT = Path(pgq.__file__).parent.parent
PACKAGES = (ROOT / "pgq", ROOT / "worker" / "pgq_worker")


def names(conn: Conn, query: str) -> list[str]:
    return sorted(row[0] for row in conn.execute(query.encode()).fetchall())


def routines(condition: str) -> str:
    return (
        "select p.proname from pg_proc p "
        f"where p.pronamespace = 'pgq'::regnamespace and ({condition})"
    )


def relations(condition: str) -> str:
    return (
        "select c.relname from pg_class c "
        f"where c.relnamespace = 'pgq'::regnamespace and not c.relispartition and ({condition})"
    )


def in_files() -> list[str]:
    return sorted(name for file in schema.functions() for name in CREATED.findall(file.read_text()))


# Routines


def test_the_routines_are_those_of_the_files(conn: Conn) -> None:
    assert names(conn, routines("true")) == in_files()


def test_a_public_verb_stands_in_the_file_of_its_name() -> None:
    for file in schema.functions():
        text = file.read_text()
        public = [name for name in CREATED.findall(text) + VIEW.findall(text) if name[0] != "_"]
        assert public == ([] if file.stem.startswith("_") else [file.stem])


def test_there_are_no_overloads(conn: Conn) -> None:
    counts = Counter(names(conn, routines("true")))
    assert [name for name, count in counts.items() if count > 1] == []


def test_nothing_is_executable_by_public(conn: Conn) -> None:
    open_to_all = """exists (
        select
        from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
        where a.grantee = 0
    )"""
    assert names(conn, routines(open_to_all)) == []


def test_helpers_are_executable_by_their_owner_alone(conn: Conn) -> None:
    shared = """p.proname like '\\_%' and exists (
        select from aclexplode(p.proacl) a where a.grantee <> p.proowner
    )"""
    assert names(conn, routines(shared)) == []


def test_every_public_verb_is_granted_to_somebody(conn: Conn) -> None:
    kept = """p.proname not like '\\_%' and not exists (
        select from aclexplode(p.proacl) a where a.grantee <> p.proowner
    )"""
    assert names(conn, routines(kept)) == []


def test_every_routine_pins_its_search_path(conn: Conn) -> None:
    # A procedure that commits may not set anything, and qualifies all that it names.
    loose = "p.prokind <> 'p' and not coalesce('search_path=\"\"' = any(p.proconfig), false)"
    assert names(conn, routines(loose)) == []


def test_no_procedure_has_the_rights_of_its_owner(conn: Conn) -> None:
    assert names(conn, routines("p.prokind = 'p' and p.prosecdef")) == []


def test_every_routine_has_a_comment(conn: Conn) -> None:
    assert names(conn, routines("obj_description(p.oid, 'pg_proc') is null")) == []


def test_arguments_are_named_p(conn: Conn) -> None:
    unlike = """exists (
        select
        from unnest(p.proargnames, coalesce(p.proargmodes, array_fill('i'::"char",
            array[p.pronargs::integer]))) a (name, mode)
        where a.mode in ('i', 'v', 'b') and a.name not like 'p\\_%'
    ) or p.pronargs > 0 and p.proargnames is null"""
    assert names(conn, routines(unlike)) == []


# Relations


def test_every_table_and_view_has_a_comment(conn: Conn) -> None:
    silent = "c.relkind in ('r', 'p', 'v') and obj_description(c.oid, 'pg_class') is null"
    assert names(conn, relations(silent)) == []


def test_nobody_but_the_owner_has_rights_on_a_table(conn: Conn) -> None:
    """Except that producers insert jobs, and viewers read the view without payloads."""
    granted = conn.execute(
        """
        select c.relname, a.privilege_type, r.rolname
        from pg_class c
        cross join aclexplode(c.relacl) a
        left join pg_roles r on r.oid = a.grantee
        where c.relnamespace = 'pgq'::regnamespace
            and a.grantee <> c.relowner
        order by 1, 2, 3
        """
    ).fetchall()
    assert granted == [
        ("job_id_seq", "USAGE", "pgq_enqueuer"),
        ("job_status", "SELECT", "pgq_viewer"),
    ]


def test_producers_insert_the_public_columns_alone(conn: Conn) -> None:
    granted = conn.execute(
        """
        select c.relname, a.attname, g.privilege_type, r.rolname
        from pg_attribute a
        join pg_class c on c.oid = a.attrelid
        cross join aclexplode(a.attacl) g
        left join pg_roles r on r.oid = g.grantee
        where c.relnamespace = 'pgq'::regnamespace
        """
    ).fetchall()
    columns = names(
        conn,
        "select attname from pg_attribute where attrelid = 'pgq.job'::regclass "
        "and attnum > 0 and not attisdropped",
    )
    public = [column for column in columns if column not in ("id", "created_at")]
    expected = [("job", column, "INSERT", "pgq_enqueuer") for column in public]
    assert sorted(granted) == sorted([*expected, ("job", "id", "SELECT", "pgq_enqueuer")])


def test_sequences_never_cache_or_cycle(conn: Conn) -> None:
    """A cached value could be drawn below a floor that has passed it."""
    loose = "select c.relname from pg_sequence s join pg_class c on c.oid = s.seqrelid"
    ours = "c.relnamespace = 'pgq'::regnamespace"
    assert names(conn, f"{loose} where {ours} and (s.seqcache <> 1 or s.seqcycle)") == []


def test_sequences_that_order_rows_belong_to_no_column(conn: Conn) -> None:
    """TRUNCATE … RESTART IDENTITY would start one again that does."""
    free = """c.relkind = 'S' and not exists (
        select
        from pg_depend d
        where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype in ('a', 'i')
            and d.refclassid = 'pg_class'::regclass
    )"""
    ordering = {"job_id_seq", "ready_seq", "lease_seq", "tally_seq"}
    assert ordering <= set(names(conn, relations(free)))


def test_every_trigger_is_enabled(conn: Conn) -> None:
    idle = """
        select t.tgname
        from pg_trigger t
        join pg_class c on c.oid = t.tgrelid
        where c.relnamespace = 'pgq'::regnamespace and t.tgenabled <> 'O'
    """
    assert names(conn, idle) == []


def test_partitioned_tables_have_the_same_days(conn: Conn) -> None:
    days = conn.execute(
        """
        select p.relname, array_agg(pg_get_expr(c.relpartbound, c.oid) order by c.relname)
        from pg_inherits i
        join pg_class c on c.oid = i.inhrelid
        join pg_class p on p.oid = i.inhparent and p.relkind = 'p'
        where p.relnamespace = 'pgq'::regnamespace
        group by p.relname
        """
    ).fetchall()
    assert sorted(name for name, _ in days) == ["attempt", "finished", "job", "log"]
    assert len({tuple(bounds) for _, bounds in days}) == 1


# Sources


def modules() -> Iterator[tuple[Path, ast.Module]]:
    for package in PACKAGES:
        for file in sorted(package.rglob("*.py")):
            yield file, ast.parse(file.read_text(), file.name)


def imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def strings(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


@pytest.mark.parametrize(
    ("package", "above"),
    [("pgq", "pgq_worker"), ("pgq", "pgq_server"), ("pgq_worker", "pgq_server")],
)
def test_no_module_imports_upwards(package: str, above: str) -> None:
    upwards = [
        file
        for file, tree in modules()
        if package in file.relative_to(ROOT).parts
        and any(name.split(".")[0] == above for name in imported(tree))
    ]
    assert upwards == []


def test_python_changes_no_table_of_ours_but_by_inserting_jobs() -> None:
    changes = re.compile(
        r"\b(?:insert\s+into|update|delete\s+from|merge\s+into|truncate(?:\s+table)?|copy)\s+pgq\.(\w+)",
        re.IGNORECASE,
    )
    found = {
        (file.name, table)
        for file, tree in modules()
        for text in strings(tree)
        for table in changes.findall(text)
    }
    # The migrator writes down what it has applied.
    assert found - {("schema.py", "migration")} == {("producer.py", "job")}


def test_the_environment_is_read_in_one_place() -> None:
    """Others hand it on as it is to the programs that they start; what systemd and OpenTelemetry
    say is apart."""
    readers = {
        str(file.relative_to(ROOT))
        for file, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv")
    }
    handing_on = {
        "pgq/binaries.py", "worker/pgq_worker/companion.py", "worker/pgq_worker/processes.py"
    }  # fmt: skip
    apart = {"pgq/sd_notify.py", "pgq/otlp.py"}
    assert readers - handing_on - apart == {"pgq/config.py", "pgq/sources.py"}
