"""What the README tells a stranger to type works as it stands there."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import pgq
import processes
from pgq.cli import main

README = (Path(pgq.__file__).parent.parent / "README.md").read_text()
SERVE = README[README.index("## Serve") :]
COMMANDS = [
    command.strip()
    for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
    for command in re.split(r" {2,}|\$\(|\)$", line.split("#")[0])
    if command.startswith("pgq ")
]


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_takes_what_is_written(command: str) -> None:
    shown = CliRunner().invoke(main, [*shlex.split(command)[1:], "--help"])
    assert shown.exit_code == 0, shown.output


@pytest.mark.skipif(not shutil.which("curl"), reason="needs curl")
def test_jobs_are_made_with_curl(tmp_path: Path, dsn: str) -> None:
    with processes.running(tmp_path, "dev", "--port", "0", DATABASE_URL=dsn) as dev:
        url = dev.said(r"The dashboard is (\S+)/\n")[1]
        without, with_token = (block for block in _blocks(SERVE) if "curl" in block)
        make, show = re.split(r"\n(?=curl)", without.replace("http://127.0.0.1:8080", url))
        made = json.loads(_run(make, dsn))
        assert json.loads(_run(show.replace("ID", str(made["id"])), dsn))["state"] == "succeeded"
        script = re.sub("^pgq server .*$", "", with_token, flags=re.MULTILINE)
        made = json.loads(_run(script.replace("https://queue.example.org:8080", url), dsn))
        assert made["created"]


def _blocks(text: str) -> list[str]:
    return re.findall(r"```sh\n(.*?)```", text, re.DOTALL)


def _run(script: str, dsn: str) -> str:
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": programs, "DATABASE_URL": dsn}
    done = subprocess.run(
        ["/bin/sh", "-ec", script], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
