"""What a user installs: the wheel, in an environment that has never seen the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import psycopg
import pytest

import pgq

CHECKOUT = Path(pgq.__file__).parent.parent
UV = Path(sys.executable).parent / "uv"


def run(*command: str | Path, cwd: Path, **variables: str) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(UV, "build", "--quiet", "--wheel", "--out-dir", folder, CHECKOUT, cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment that holds the wheel."""
    folder = tmp_path_factory.mktemp("installed")
    run(UV, "venv", "--quiet", "--python", sys.executable, folder / "venv", cwd=folder)
    programs = folder / "venv" / "bin"
    run(UV, "pip", "install", "--quiet", "--python", programs / "python", wheel, cwd=folder)
    return programs


def test_the_wheel_puts_nothing_beside_our_own_packages(wheel: Path) -> None:
    top = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert all(name.startswith("pgq") for name in top)
    assert {"pgq", "pgq_worker"} <= top


def test_the_wheel_holds_all_the_sql(wheel: Path) -> None:
    shipped = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("pgq/sql/")}
    sources = (CHECKOUT / "sql").rglob("*.sql")
    assert shipped >= {f"pgq/{file.relative_to(CHECKOUT)}" for file in sources}


def test_the_wheel_holds_all_of_the_dashboard(wheel: Path) -> None:
    shipped = set(zipfile.ZipFile(wheel).namelist())
    folder = CHECKOUT / "server"
    parts = (path for path in (folder / "pgq_server" / "ui").rglob("*") if path.is_file())
    assert shipped >= {
        str(path.relative_to(folder)) for path in parts if "__pycache__" not in path.parts
    }


def test_the_wheel_installs_the_schema(installed: Path, empty_dsn: str, tmp_path: Path) -> None:
    run(installed / "pgq", "migrate", cwd=tmp_path, DATABASE_URL=empty_dsn)
    with psycopg.connect(empty_dsn, autocommit=True) as session:
        session.execute("insert into pgq.job (task) values ('echo')")
        assert session.execute("select count(*) from pgq.ready").fetchone() == (1,)


def test_the_installed_command_finds_every_subcommand(installed: Path, tmp_path: Path) -> None:
    shown = run(installed / "pgq", "--help", cwd=tmp_path)
    for name in ("config", "migrate", "version", "worker"):
        assert f"\n  {name} " in shown
