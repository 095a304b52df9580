"""Alerts, their runbooks, and the commands in these."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import click
import psycopg
import pytest
import yaml

import pgq
from pgq.cli import main

ROOT = Path(pgq.__file__).parent.parent
RULES = sorted((ROOT / "prometheus").glob("*.rules.yml"))
RUNBOOKS = ROOT / "docs" / "runbooks"

PLACES = {"JOB": "1", "QUEUE": "mail", "PID": "1", "WORKER": "1", "FINGERPRINT": "x"}
"""What a reader puts in."""


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


ALERTS: list[dict[str, Any]] = [
    rule
    for path in RULES
    for group in load(path)["groups"]
    for rule in group["rules"]
    if "alert" in rule
]
NAMES = [alert["alert"] for alert in ALERTS]
each_alert = pytest.mark.parametrize("alert", ALERTS, ids=NAMES)


def commands(page: str) -> list[str]:
    """What the page says to run, in blocks and between backticks."""
    blocks = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    lines = [re.sub(r"\s+# .*$", "", line) for block in blocks for line in block.splitlines()]
    return [*lines, *re.findall(r"`(pgq [a-z][^`…]*)", page)]


def test_there_are_twenty_and_more() -> None:
    assert len(NAMES) == len(set(NAMES)) >= 20


@each_alert
def test_alert_says_what_to_do(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in ("info", "warning", "critical")
    told = alert["annotations"]
    assert set(told) == {"summary", "description", "runbook_url"}
    assert told["runbook_url"] == f"docs/runbooks/{alert['alert']}.md"
    assert (RUNBOOKS / f"{alert['alert']}.md").is_file()


@each_alert
def test_runbook_has_all_its_parts(alert: dict[str, Any]) -> None:
    page = (RUNBOOKS / f"{alert['alert']}.md").read_text()
    assert re.findall(r"^#+ (.*)$", page, re.MULTILINE)[:1] == [alert["alert"]]
    assert re.findall(r"^## (.*)$", page, re.MULTILINE) == [
        "Look at first",
        "What to do",
        "When it resolves",
    ]
    assert page.startswith(f"# {alert['alert']}\n\nSeverity: {alert['labels']['severity']}. ")
    for link in re.findall(r"\]\((\w+\.md)\)", page):
        assert (RUNBOOKS / link).is_file(), link


def test_there_is_no_runbook_of_nothing() -> None:
    assert {path.stem for path in RUNBOOKS.glob("*.md")} == {*NAMES, "README"}
    listed = re.findall(r"\[(\w+)\]\(\1\.md\)", (RUNBOOKS / "README.md").read_text())
    assert listed == NAMES


def test_each_alert_has_a_test_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    tests = [test["name"] for test in load(ROOT / "prometheus" / "alerts.test.yml")["tests"]]
    assert tests == [f"{name} {what}" for name in NAMES for what in ("fires", "stays silent")]


@pytest.mark.parametrize("name", NAMES)
def test_commands_of_a_runbook_exist(name: str) -> None:
    page = (RUNBOOKS / f"{name}.md").read_text()
    assert commands(page)
    for line in commands(page):
        if not line.startswith("pgq "):
            continue
        command: click.Command = main
        words = shlex.split(line)[1:]
        while isinstance(command, click.Group):
            if not words and command.invoke_without_command:
                break
            assert words, f"{line}: a group"
            found = command.get_command(click.Context(command), words.pop(0))
            assert found is not None, line
            command = found
        options = {opt for each in command.params for opt in (*each.opts, *each.secondary_opts)}
        assert {word for word in words if word.startswith("-")} <= options, line


@pytest.mark.parametrize("name", NAMES)
def test_statements_of_a_runbook_run(name: str, conn: psycopg.Connection[Any]) -> None:
    conn.execute("insert into pgq.job (task, queue) values ('send', 'mail')")
    for line in commands((RUNBOOKS / f"{name}.md").read_text()):
        if not line.startswith("psql "):
            continue
        words = shlex.split(line)
        statement = words[words.index(next(word for word in words if word.endswith("c"))) + 1]
        for place, value in PLACES.items():
            statement = re.sub(rf"\b{place}\b", value, statement)
        conn.execute(statement.encode())


@pytest.fixture(scope="module")
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("promtool is not installed")
    return found


@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "config", "prometheus.yml"],
        ["check", "rules", *[path.name for path in RULES]],
        ["test", "rules", "alerts.test.yml"],
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_promtool_finds_nothing(promtool: str, arguments: list[str]) -> None:
    done = subprocess.run(
        [promtool, *arguments],
        cwd=ROOT / "prometheus",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_alert_whose_threshold_is_moved_fails_its_test(promtool: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "prometheus", tmp_path / "prometheus")
    rules = tmp_path / "prometheus" / "alerts.rules.yml"
    rules.write_text(rules.read_text().replace("> 1800", "> 1600"))
    done = subprocess.run(
        [promtool, "test", "rules", "alerts.test.yml"],
        cwd=rules.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "PgqOldTransaction" in done.stdout + done.stderr


def test_rules_ask_only_for_metrics_that_there_are(conn: psycopg.Connection[Any]) -> None:
    known = {
        name
        for metric, kind in conn.execute("select metric, type from pgq.list_metrics()").fetchall()
        for name in ([f"{metric}_bucket"] if kind == "histogram" else [metric])
    }
    asked = {
        name
        for path in RULES
        for group in load(path)["groups"]
        for rule in group["rules"]
        for name in re.findall(r"(?<![:\w])pgq_\w+(?![:\w])", rule["expr"])
    }
    assert asked <= known
