"""Settings: which place wins, and what becomes of a mistake."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import pgq
from pgq import config, reference, sources
from pgq.cli import main
from pgq.errors import ConfigError

DOCS = Path(pgq.__file__).parent.parent / "docs"
Files = Callable[..., None]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to be in, and an environment that says nothing."""
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("PG") or name == "DATABASE_URL":
            monkeypatch.delenv(name)
    monkeypatch.setattr(sources, "_told", set())
    return tmp_path


def say(place: str, name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a place name a setting."""
    variable = config.variable(name)
    if place == "environment":
        monkeypatch.setenv(variable, value)
    elif place == ".env":
        Path(".env").write_text(f"{variable}={value}\n")
    else:
        section, _, key = name.rpartition(".")
        header = f"[{section}]\n" if section else ""
        Path("pgq.toml").write_text(f'{header}{key} = "{value}"\n')


def origin(name: str, options: dict[str, Any] | None = None) -> str:
    return config.origins(options)[name]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("log_level", ("debug", "info", "warning", "error")),
        ("server.port", ("1", "2", "3", "4")),
        ("worker.app", ("a:a", "b:b", "c:c", "d:d")),
        ("database_url", ("host=a", "host=b", "host=c", "host=d")),
    ],
)
def test_options_then_environment_then_env_file_then_toml(
    monkeypatch: pytest.MonkeyPatch, name: str, values: tuple[str, ...]
) -> None:
    def value(options: dict[str, Any] | None = None) -> str:
        return str(attrgetter(name)(config.load(options)))

    key = name.rpartition(".")[2]
    assert origin(name) == "default"
    say("pgq.toml", name, values[0], monkeypatch)
    assert (value(), origin(name)) == (values[0], f"pgq.toml, {name}")
    say(".env", name, values[1], monkeypatch)
    assert (value(), origin(name)) == (values[1], f".env, {config.variable(name)}")
    say("environment", name, values[2], monkeypatch)
    assert (value(), origin(name)) == (values[2], config.variable(name))
    option = "--dsn" if name == "database_url" else f"--{key.replace('_', '-')}"
    options = {name: values[3]}
    assert (value(options), origin(name, options)) == (values[3], option)


def test_sections_are_put_together_from_several_places(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("pgq.toml").write_text('[server]\nhost = "::1"\nport = 1\n')
    monkeypatch.setenv("PGQ_SERVER_PORT", "2")
    server = config.load({"server.grace": "3"}).server
    assert (server.host, server.port, server.grace, server.pool) == ("::1", 2, 3.0, 10)


@pytest.mark.parametrize("place", ["environment", ".env", "pgq.toml"])
def test_libpq_variables_come_after_every_database_url(
    monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setenv("PGHOST", "db.example")
    assert (config.load().database_url, origin("database_url")) == ("", "PGHOST")
    say(place, "database_url", "postgresql://h/d", monkeypatch)
    assert config.load().database_url == "postgresql://h/d"


def test_empty_variable_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGQ_LOG_LEVEL", "")
    Path("pgq.toml").write_text('log_level = "debug"\n')
    assert (config.load().log_level, origin("log_level")) == ("debug", "pgq.toml, log_level")


def test_list_is_a_list_or_has_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("pgq.toml").write_text('[server]\nallowed_hosts = ["A.example", "b.example"]\n')
    assert config.load().server.allowed_hosts == ("a.example", "b.example")
    monkeypatch.setenv("PGQ_SERVER_ALLOWED_HOSTS", "C.example, d.example")
    assert config.load().server.allowed_hosts == ("c.example", "d.example")
    given = config.load({"worker.queues": ("a=1,b", "c")})
    assert given.worker.queues == ("a=1", "b", "c")


def test_another_file_can_be_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("pgq.toml").write_text('log_level = "debug"\n')
    other = folder / "other.toml"
    monkeypatch.setenv("PGQ_CONFIG", str(other))
    with pytest.raises(ConfigError, match=r"other\.toml cannot be read: No such file"):
        config.load()
    other.write_text('log_level = "error"\n')
    assert config.load().log_level == "error"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[server]\nport = 70000\n", ["pgq.toml, server.port is 70000", "65535"]),
        ('[server]\nport = "many"\n', ["pgq.toml, server.port is 'many'", "valid integer"]),
        ("[server]\nprot = 1\n", ["pgq.toml", "no setting server.prot", "server.port?"]),
        ("port = 1\n", ["pgq.toml", "no setting port", "server.port?"]),
        ("[sevrer]\nport = 1\n", ["pgq.toml", "no setting sevrer.port", "server.port?"]),
        ("nonsense = 1\n", ["pgq.toml", "no setting nonsense"]),
        ("server = 1\n", ["pgq.toml", "server"]),
        ('log_level = "loud"\n', ["pgq.toml, log_level is 'loud'", "'debug', 'info'"]),
        ("[worker]\nqueues = 5\n", ["pgq.toml, worker.queues is 5", "tuple"]),
        ("[worker]\nqueues = [5]\n", ["pgq.toml, worker.queues", "string"]),
        ("[worker]\ngrace = inf\n", ["pgq.toml, worker.grace is inf", "finite"]),
        ("[log_level]\nx = 1\n", ["pgq.toml", "log_level.x"]),
        ("log_level = \n", ["pgq.toml is not TOML", "line 1"]),
        ('database_url = "postgresql://u:a/secret@h/d"\n', ["pgq.toml, database_url", "malformed"]),
        ('database_url = ["secret"]\n', ["pgq.toml, database_url", "valid string"]),
    ],
)
def test_mistake_in_the_file_is_one_line(text: str, words: list[str]) -> None:
    Path("pgq.toml").write_text(text)
    done = CliRunner().invoke(main, ["config"])
    assert done.exit_code == 2, done.output
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("pgq: ")
    for word in words:
        assert word in done.stderr
    assert "secret" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["server", "--port", "many"], "--port is 'many'"),
        (["server", "--pool", "1"], "--pool is '1'"),
        (["worker", "-a", "x:y", "--grace", "-1"], "--grace is '-1'"),
        (["worker"], "PGQ_WORKER_APP"),
        (["--dsn", "postgresql://u:a/secret@h/d", "config"], "--dsn: the database's"),
    ],
)
def test_mistake_in_an_option_is_one_line(arguments: list[str], words: str) -> None:
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 2, done.output
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    assert "secret" not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [["--dsn", "host=h password=sec", "config"], ["config", "--dsn", "host=h password=sec"]],
)
def test_database_can_be_named_before_and_after_the_command(arguments: list[str]) -> None:
    done = CliRunner().invoke(main, [*arguments, "-o", "json"], env={"DATABASE_URL": "host=other"})
    (row,) = (row for row in json.loads(done.stdout) if row["setting"] == "database_url")
    assert (row["origin"], row["value"]) == ("--dsn", "password=*** host=h")


def test_option_of_one_command_line_is_not_the_next_ones() -> None:
    CliRunner().invoke(main, ["--dsn", "host=h", "config"])
    assert "host=h" not in CliRunner().invoke(main, ["config"]).stdout


@pytest.mark.parametrize("file", [".env", "pgq.toml"])
@pytest.mark.parametrize(
    ("mode", "url", "warned"),
    [
        (0o644, "postgresql://u:secret@h/d", True),
        (0o640, "postgresql://u:secret@h/d", False),
        (0o644, "postgresql://u@h/d", False),
    ],
)
def test_password_that_others_may_read_is_told_of_once(
    caplog: pytest.LogCaptureFixture, file: str, mode: int, url: str, warned: bool
) -> None:
    key = "DATABASE_URL" if file == ".env" else "database_url"
    Path(file).write_text(f'{key} = "{url}"\n')
    Path(file).chmod(mode)
    with caplog.at_level(logging.WARNING):
        config.load()
        config.load()
    said = [record.getMessage() for record in caplog.records]
    assert [file in line and "chmod" in line for line in said] == [True] * warned
    assert "secret" not in caplog.text


def test_variable_that_is_no_setting_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGQ_SERVER_PROT", "1")
    assert "PGQ_SERVER_PROT" in CliRunner().invoke(main, ["config"]).stderr
    assert CliRunner().invoke(main, ["config"], env={"PGQ_SERVER_PROT": None}).stderr == ""


def test_user_without_a_home_has_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    assert config.load().data_dir == Path("/var/lib/pgq")


def test_every_setting_has_a_variable_of_its_own() -> None:
    variables = list(config.variables().values())
    assert len(set(variables)) == len(variables)


def test_every_setting_is_described() -> None:
    assert all(config.field(name).description for name in config.names())


@pytest.mark.parametrize("name", reference.PAGES)
def test_the_reference_is_that_of_the_code(name: str) -> None:
    assert (DOCS / name).read_text() == reference.PAGES[name](), "run `make reference`"
