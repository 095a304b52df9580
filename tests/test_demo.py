"""`pgq demo`: the main job end to end, which fails when anything is not as it should be."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner, Result

import processes
from pgq_examples.demo import command
from pgq_examples.demo.stage import Check, Stage


def test_the_demo_agrees_with_itself(tmp_path: Path, server: str) -> None:
    with processes.running(tmp_path, "demo", DATABASE_URL=server) as demo:
        assert demo.ended() == 0, demo.output
        assert "All 9 as they should be." in demo.output
        processes.wait(lambda: not demo.family())


def test_the_demo_leaves_no_database_behind(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    names: list[str] = []

    def look(stage: Stage) -> Iterator[Check | None]:
        names.append(stage.value("select current_database()"))
        yield Check("the database is a new one", "yes", "yes")

    assert _demo(server, monkeypatch, look).exit_code == 0
    with psycopg.connect(server) as session:
        rows = session.execute("select datname from pg_database where datname = any (%s)", [names])
        assert names
        assert rows.fetchall() == []


def test_one_thing_that_is_not_as_it_should_be_fails_the_demo(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def act(stage: Stage) -> Iterator[Check | None]:
        yield Check("good", "1 done", "1 done")
        yield Check("bad", "2 done", "3 done")

    result = _demo(server, monkeypatch, act)
    assert result.exit_code == 1
    assert "3 done" in result.output
    assert "1 of 2 were not as they should be" in result.output


def test_a_job_with_a_wrong_result_fails_the_demo(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command.acts, "JOBS", 30)
    monkeypatch.setattr(command.acts.tasks, "measure", _WrongHere(command.acts.tasks.measure))
    result = _demo(server, monkeypatch, command.acts.thousand)
    assert result.exit_code == 1
    assert "10 succeeded, 0 results right" in result.output


class _WrongHere:
    """The task as it is entered, but another function to compare its results with."""

    def __init__(self, task: object) -> None:
        self._task = task

    def __getattr__(self, name: str) -> object:
        return getattr(self._task, name)

    def __call__(self, path: str) -> str:
        return "something else"


def _demo(server: str, monkeypatch: pytest.MonkeyPatch, *acts: object) -> Result:
    from pgq.cli import main

    monkeypatch.setattr(command, "ACTS", acts)
    return CliRunner().invoke(main, ["demo"], env={"DATABASE_URL": server})
