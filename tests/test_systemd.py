"""The units of the server and the workers, and what `pgq systemd` makes of them."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pgq import logs
from pgq.cli import main
from pgq.cli.systemd import UNITS, folder

ANALYZE = shutil.which("systemd-analyze")
needs_systemd = pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is needed")
EXPOSURE = 2.0


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def printed(*words: str, **environment: str) -> Result:
    return CliRunner().invoke(main, ["systemd", "print", *words], env=environment)


def analyze(verb: str, *options: str, unit: Path) -> subprocess.CompletedProcess[str]:
    assert ANALYZE
    return subprocess.run(
        [ANALYZE, verb, *options, str(unit)], capture_output=True, text=True, check=False
    )


def values(text: str, name: str) -> list[str]:
    return re.findall(rf"^{name}=(.*)$", text, re.MULTILINE)


@needs_systemd
@pytest.mark.parametrize("kind", UNITS)
def test_unit_is_exposed_at_most_2(kind: str) -> None:
    done = analyze("security", "--offline=true", "--no-pager", unit=folder() / UNITS[kind])
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    assert found, done.stdout + done.stderr
    assert float(found[1]) <= EXPOSURE


@needs_systemd
@pytest.mark.parametrize("kind", UNITS)
def test_printed_unit_is_valid(tmp_path: Path, kind: str) -> None:
    unit = tmp_path / UNITS[kind]
    unit.write_text(printed(kind, "--directory", str(tmp_path)).stdout)
    done = analyze("verify", "--recursive-errors=no", "--man=no", unit=unit)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("kind", UNITS)
def test_unit_starts_this_program(kind: str) -> None:
    text = printed(kind).stdout
    program = Path(sys.executable).with_name("pgq")
    assert values(text, "ExecStart") == [f"{program} {kind}"]
    assert values(text, "Type") == ["notify"]


@pytest.mark.parametrize("kind", UNITS)
def test_stop_may_take_longer_than_the_grace_period(kind: str) -> None:
    variable = f"PGQ_{kind.upper()}_GRACE"
    assert int(values((folder() / UNITS[kind]).read_text(), "TimeoutStopSec")[0]) > 10
    assert values(printed(kind, **{variable: "300"}).stdout, "TimeoutStopSec") == ["320"]


def test_folder_of_the_app_and_user_are_set(tmp_path: Path) -> None:
    folder = tmp_path / "100% mine"
    folder.mkdir()
    text = printed("worker", "--directory", str(folder), "--user", "jobs").stdout
    assert values(text, "WorkingDirectory") == [str(folder).replace("%", "%%")]
    assert values(text, "User") == ["jobs"]
    assert values(text, "DynamicUser") == []


def test_only_what_is_asked_for_differs_from_the_unit() -> None:
    for kind, name in UNITS.items():
        ours = (folder() / name).read_text().splitlines()
        theirs = printed(kind).stdout.splitlines()
        assert len(ours) == len(theirs)
        differ = [line for line, other in zip(ours, theirs, strict=True) if line != other]
        assert [line.partition("=")[0] for line in differ] == ["ExecStart"]


@pytest.mark.parametrize(
    "words", [["both"], [], ["server", "--user", "a b"], ["worker", "--directory", "/nowhere"]]
)
def test_mistake_is_one_line(words: list[str]) -> None:
    done = printed(*words)
    assert done.exit_code == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1


def test_secrets_are_in_no_unit() -> None:
    for kind in UNITS:
        text = printed(kind, DATABASE_URL="postgresql://u:canary@h/d").stdout
        assert "canary" not in text
        assert logs.masker()(text) == text
