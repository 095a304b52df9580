"""Commands of other packages, which come as entry points."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from cli.conftest import PROGRAM


@pytest.fixture
def broken(tmp_path: Path) -> dict[str, str]:
    """The environment of a machine where a package with commands is half gone."""
    info = tmp_path / "halfgone-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: halfgone\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[pgq.commands]\nlost = halfgone.nothing:command\nodd = os:path\n"
    )
    return {**os.environ, "PYTHONPATH": str(tmp_path)}


def run(environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([PROGRAM, *words], env=environment, capture_output=True, text=True)


def test_one_that_cannot_be_loaded_spoils_no_help(broken: dict[str, str]) -> None:
    done = run(broken, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "lost" in done.stdout
    assert run(broken, "job", "--help").returncode == 0


@pytest.mark.parametrize(("words", "some"), [([], "doctor, enqueue"), (["job"], "cancel, dup")])
def test_a_group_alone_tells_its_commands_in_one_line(words: list[str], some: str) -> None:
    done = run(dict(os.environ), *words)
    assert done.returncode == 2
    assert done.stderr.startswith("pgq: which command? ")
    assert some in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "why"), [("lost", "No module named 'halfgone'"), ("odd", "is no click command")]
)
@pytest.mark.parametrize("words", [[], ["--help"], ["-x", "y"]])
def test_one_that_cannot_be_loaded_is_one_line(
    broken: dict[str, str], name: str, why: str, words: list[str]
) -> None:
    done = run(broken, name, *words)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert why in done.stderr
    assert "halfgone cannot be loaded" in done.stderr
