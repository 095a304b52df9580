"""Rivals in scratch folders, from PyPI and npm, in their newest versions."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pgq.errors import ConfigError

PYTHON_PACKAGES = ("pgqueuer[asyncpg]", "procrastinate", "uvloop")
NODE_PACKAGES = ("graphile-worker", "pg-boss")
NODE = "24"
LEAST_NODE = (22, 18)
TRIES = 10
"""Versions of an npm package that are tried, from the newest, when one's own dependencies are not
to be had."""


@dataclass(frozen=True)
class Installed:
    """Where the rivals are, and which."""

    python: Path
    node: str
    node_folder: Path
    versions: Mapping[str, str]


def install(folder: Path, say: Callable[[str], None]) -> Installed:
    """Install or update everything below `folder`. Raises `ConfigError`."""
    python, versions = _python(folder / "python", say)
    node_folder = folder / "node"
    node, node_versions = _node(node_folder, say)
    return Installed(python, node, node_folder, {**versions, **node_versions})


def _python(folder: Path, say: Callable[[str], None]) -> tuple[Path, dict[str, str]]:
    say("installing from PyPI")
    python = folder / "bin" / "python"
    if not python.exists():
        _run([sys.executable, "-m", "venv", str(folder)])
    pip = [str(python), "-m", "pip", "--disable-pip-version-check"]
    _run([*pip, "install", "--quiet", "--upgrade", *PYTHON_PACKAGES])
    found = {p["name"]: p["version"] for p in json.loads(_run([*pip, "list", "--format=json"]))}
    return python, {name: found[name] for name in ("pgqueuer", "procrastinate", "asyncpg")}


def _node(folder: Path, say: Callable[[str], None]) -> tuple[str, dict[str, str]]:
    say("installing from npm")
    npm = shutil.which("npm")
    if npm is None:
        raise ConfigError("npm was not found, which installs two of the rivals: install Node.js")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "package.json").write_text('{"private": true, "type": "module"}\n')
    node = shutil.which("node") or ""
    if not node or _version(node) < LEAST_NODE:
        _npm(npm, folder, [f"node@{NODE}"])
        node = str(folder / "node_modules" / ".bin" / "node")
    versions = {"node": ".".join(map(str, _version(node)))}
    for name in NODE_PACKAGES:
        versions[name] = _newest(npm, folder, name, say)
    # Node finds packages from the script's folder upwards, so the scripts have to stand here.
    for script in (Path(__file__).parent / "drivers").glob("*.mjs"):
        shutil.copy(script, folder)
    return node, versions


def _newest(npm: str, folder: Path, name: str, say: Callable[[str], None]) -> str:
    listed = json.loads(_run([npm, "view", name, "dist-tags.latest", "versions", "--json"]))
    stable = [v for v in listed["versions"] if re.fullmatch(r"[\d.]+", v)]
    candidates = [listed["dist-tags.latest"], *reversed(stable[-TRIES:])]
    for version in dict.fromkeys(candidates):
        try:
            _npm(npm, folder, [f"{name}@{version}"])
        except ConfigError as error:
            say(f"{name} {version} cannot be installed here: {error}")
        else:
            return str(version)
    raise ConfigError(f"none of the newest versions of {name} can be installed")


def _npm(npm: str, folder: Path, packages: Sequence[str]) -> None:
    # engine-strict is off: the engine is the Node above, not the one that runs npm.
    options = ["--no-audit", "--no-fund", "--loglevel=error", "--engine-strict=false"]
    _run([npm, "install", *options, *packages], cwd=folder)


def _version(node: str) -> tuple[int, ...]:
    return tuple(int(part) for part in _run([node, "--version"]).strip().lstrip("v").split("."))


def _run(command: Sequence[str], *, cwd: Path | None = None) -> str:
    done = subprocess.run(
        command, cwd=cwd, env=dict(os.environ), capture_output=True, text=True, check=False
    )
    if done.returncode:
        lines = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()
        raise ConfigError(f"{Path(command[0]).name} failed: {' '.join(lines[:3])[:300]}")
    return done.stdout
