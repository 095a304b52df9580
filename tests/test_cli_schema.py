"""The command line's frame, and its commands about the installation."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from pgq import errors, schema
from pgq.cli import explained
from servers import own_binaries

Pgq = Callable[..., subprocess.CompletedProcess[str]]
PROGRAM = Path(sys.executable).parent / "pgq"
UNREACHABLE = "postgresql://user:sec%40ret@127.0.0.1:1/app"


@pytest.fixture
def folder() -> Iterator[Path]:
    """A data folder that others may enter, which pytest's own are not."""
    made = Path("/tmp") / f"pgq-cli-{os.getpid()}"
    made.mkdir(mode=0o711)
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
def pgq(tmp_path: Path) -> Pgq:
    """Runs the command in an environment that says nothing but `variables` about a database."""

    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        plain = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith("PG") and key != "DATABASE_URL"
        }
        return subprocess.run(
            [PROGRAM, *arguments],
            env={**plain, **variables},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def one_line(text: str) -> str:
    assert text.count("\n") == 1, text
    return text.strip()


def test_migrate_tells_what_it_did(pgq: Pgq, empty_dsn: str) -> None:
    first = pgq("migrate", DATABASE_URL=empty_dsn)
    assert (first.returncode, first.stderr) == (0, "")
    assert one_line(first.stdout) == f"schema pgq: version 0 to {schema.VERSION}"
    second = pgq("migrate", DATABASE_URL=empty_dsn)
    assert one_line(second.stdout) == f"schema pgq: version {schema.VERSION}, functions replaced"


def test_migrate_sql_prints_without_a_database(pgq: Pgq) -> None:
    shown = pgq("migrate", "--sql", DATABASE_URL=UNREACHABLE)
    assert shown.returncode == 0
    assert shown.stdout.strip() == schema.script().strip()


def test_version_tells_program_and_database_apart(pgq: Pgq, dsn: str, empty_dsn: str) -> None:
    there = json.loads(pgq("version", "-o", "json", DATABASE_URL=dsn).stdout)
    assert (there["schema"], there["installed"]) == (schema.VERSION, schema.VERSION)
    none = json.loads(pgq("version", "-o", "json", DATABASE_URL=empty_dsn).stdout)
    assert (none["schema"], none["installed"]) == (schema.VERSION, None)


def test_config_names_the_origin_of_each_setting(pgq: Pgq) -> None:
    shown = pgq("config", "-o", "json", DATABASE_URL=UNREACHABLE, PGQ_LOG_LEVEL="debug")
    settings = {row["setting"]: row for row in json.loads(shown.stdout)}
    assert settings["log_level"]["origin"] == "PGQ_LOG_LEVEL"
    assert settings["log_level"]["value"] == "debug"
    assert settings["database_url"]["origin"] == "DATABASE_URL"
    assert settings["data_dir"]["origin"] == "default"


def test_config_prefers_the_libpq_variables_to_an_embedded_server(pgq: Pgq) -> None:
    shown = pgq("config", "-o", "json", PGHOST="db.example")
    settings = {row["setting"]: row for row in json.loads(shown.stdout)}
    assert (settings["database_url"]["value"], settings["database_url"]["origin"]) == ("", "PGHOST")


def test_variables_of_other_programs_are_no_settings(pgq: Pgq) -> None:
    shown = pgq("config", LOG_LEVEL="loud", DATA_DIR="/elsewhere", data_dir="/elsewhere")
    assert shown.returncode == 0
    assert "elsewhere" not in shown.stdout


@pytest.mark.parametrize("output", ["table", "json"])
def test_config_masks_passwords(pgq: Pgq, output: str) -> None:
    shown = pgq("config", "-o", output, DATABASE_URL=UNREACHABLE, PGQ_LISTEN_URL=UNREACHABLE)
    assert shown.stdout.count("password=***") == 2
    assert "sec" not in shown.stdout


@pytest.mark.parametrize(
    ("arguments", "variables", "code", "words"),
    [
        (["nonsense"], {}, 2, "No such command 'nonsense'; see pgq --help"),
        (["migrate", "--nonsense"], {}, 2, "see pgq migrate --help"),
        (["config", "-o", "xml"], {}, 2, "'xml' is not one of"),
        (["config"], {"PGQ_LOG_LEVEL": "loud"}, 2, "PGQ_LOG_LEVEL"),
        (["config"], {"DATABASE_URL": "postgresql://u:a/secret@h/d"}, 2, "malformed"),
        (["config"], {"DATABASE_URL": "password=top secret"}, 2, "malformed"),
        (["migrate"], {"DATABASE_URL": UNREACHABLE}, 5, "127.0.0.1"),
        (["migrate"], {"PGQ_POSTGRES_BIN": "/nowhere"}, 5, "PGQ_POSTGRES_BIN"),
    ],
)
def test_a_mistake_gets_one_line_and_a_code(
    pgq: Pgq,
    folder: Path,
    arguments: list[str],
    variables: dict[str, str],
    code: int,
    words: str,
) -> None:
    done = pgq(*arguments, **{"PGQ_DATA_DIR": str(folder), **variables})
    assert done.returncode == code
    line = one_line(done.stderr)
    assert line.startswith("pgq: ")
    assert words in line
    assert "sec" not in line


def test_a_newer_schema_is_refused_with_a_code_of_its_own(pgq: Pgq, dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as session:
        session.execute("insert into pgq.migration values (999, '0999_later', '')")
    done = pgq("migrate", DATABASE_URL=dsn)
    assert done.returncode == 4
    assert "version 999" in one_line(done.stderr)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.NoSuchJob("no job 1"), 3),
        (errors.NoSuchQueue("no queue x"), 3),
        (errors.LeaseLost("lost"), 4),
        (errors.IllegalTransition("job 1 is running"), 4),
        (errors.Busy("busy"), 4),
        (errors.BadArgument("bad"), 2),
        (errors.Unavailable("gone"), 5),
        (errors.WorkerExpired("expired"), 1),
        (errors.NoSuchRecord("no such worker"), 3),
        (errors.KeyReused("used"), 4),
    ],
)
def test_each_error_has_its_documented_code(error: errors.PgqError, code: int) -> None:
    assert explained(error)[1] == code


def test_a_reader_that_leaves_early_sees_no_traceback(pgq: Pgq) -> None:
    done = subprocess.run(
        f"{PROGRAM} migrate --sql | head -n 1",
        shell=True,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""


def test_without_a_database_the_embedded_one_is_used(pgq: Pgq, folder: Path) -> None:
    bin_dir = own_binaries()
    variables = {"PGQ_DATA_DIR": str(folder)}
    if bin_dir:
        variables["PGQ_POSTGRES_BIN"] = str(bin_dir)
    assert pgq("migrate", **variables).returncode == 0
    kept = json.loads(pgq("version", "-o", "json", **variables).stdout)
    assert kept["installed"] == schema.VERSION
