"""`pgq systemd`: units for a machine that runs systemd."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Literal

import click

import pgq
from pgq.cli import options
from pgq.errors import ConfigError

UNITS = {"server": "pgq-server.service", "worker": "pgq-worker@.service"}
_SLACK = 20
"""Seconds that a process has to end in, after its grace period."""
_PRIVATE = ("/home", "/root", "/run/user")
"""Folders that the units do not see."""


def folder() -> Path:
    """Where the units are: beside the package when installed, else in the checkout."""
    beside = Path(pgq.__file__).parent / "systemd"
    return beside if beside.is_dir() else Path(pgq.__file__).parent.parent / "deploy" / "systemd"


@click.group()
def systemd() -> None:
    """Units with which systemd runs the server and workers."""


@systemd.command("print")
@click.argument("kind", type=click.Choice(list(UNITS)))
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False, exists=True, resolve_path=True),
    help="Where the app's modules, .env and pgq.toml are.  [default: /]",
)
@click.option("--user", metavar="NAME", help="Run as this user.  [default: one made for the unit]")
def print_(kind: Literal["server", "worker"], directory: Path | None, user: str | None) -> None:
    """Print a unit with the paths of this installation.

    \b
      pgq systemd print server > /etc/systemd/system/pgq-server.service
      pgq systemd print worker > /etc/systemd/system/pgq-worker@.service
      systemctl daemon-reload
      systemctl enable --now pgq-server pgq-worker@1 pgq-worker@2

    DATABASE_URL and other settings go to /etc/pgq/server.env and /etc/pgq/worker.env, which only
    root needs to read. The time to stop follows the grace period of the present settings.
    """
    settings = options.load()
    program = _program()
    grace = settings.server.grace if kind == "server" else settings.worker.grace
    text = (folder() / UNITS[kind]).read_text()
    text = _set(text, "ExecStart", f"{_quoted(program)} {kind}")
    text = _set(text, "TimeoutStopSec", str(round(grace) + _SLACK))
    if directory:
        text = _set(text, "WorkingDirectory", str(directory).replace("%", "%%"))
    if user:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]*\$?", user):
            raise ConfigError(f"--user is {user!r}; expected the name of a user")
        text = text.replace("DynamicUser=yes", f"User={user}")
    hidden = [path for path in (program, directory) if path and str(path).startswith(_PRIVATE)]
    if hidden:
        text = text.replace("ProtectHome=yes", "ProtectHome=read-only")
        click.echo(
            f"pgq: {hidden[0]} is in a home, which the unit's user may not enter; "
            "install for all, as in /opt/pgq, or name a --user that may",
            err=True,
        )
    click.echo(text, nl=False)


def _set(text: str, name: str, value: str) -> str:
    return re.sub(rf"^{name}=.*$", lambda _: f"{name}={value}", text, flags=re.MULTILINE)


def _program() -> Path:
    """This program, as another process finds it."""
    beside = Path(sys.executable).with_name("pgq")
    if not beside.exists():
        raise ConfigError(f"there is no {beside}; install pgq-service where a unit can run it")
    return beside


def _quoted(path: Path) -> str:
    text = str(path).replace("%", "%%").replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"' if re.search(r"[\s\"\\]", text) else text
