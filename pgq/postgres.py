"""A private Postgres for those who have configured none.

It listens on a Unix socket in a folder of its own and on no network. It runs while any process
uses it: each holds a shared lock, which the kernel gives back however the process ends, and a small
keeper waits for the exclusive one to stop the server.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import pwd
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import psycopg
from psycopg import sql

from pgq import binaries, keeper
from pgq.binaries import Binaries
from pgq.errors import Unavailable

DATABASE = "pgq"
START_TIMEOUT = 30
"""Seconds."""
LONGEST_SOCKET_FOLDER = 85
"""Bytes; the operating system takes about 104 with the socket's own name."""
NOBODY = 999_999_999
"""A pid that no process can have."""
LONGEST_LOG = 8 * 1024 * 1024
"""Bytes of the server's log that a start keeps."""


class Postgres:
    """The server whose data is below `data_dir`, in a folder `postgres` of its own.

    `durable` False gives up on crash safety, for data that is thrown away. `settings` are the
    server's own, for this start.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        bin_dir: Path | None = None,
        durable: bool = True,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = data_dir.expanduser().absolute() / "postgres"
        self.cluster = self.folder / "cluster"
        self.log = self.folder / "postgres.log"
        self._bin_dir = bin_dir
        self._durable = durable
        self._settings = dict(settings or {})
        self._user: pwd.struct_passwd | None = None
        self._users: int | None = None
        self._keeper: subprocess.Popen[bytes] | None = None

    @property
    def dsn(self) -> str:
        """The connection string of its database."""
        return self._dsn(DATABASE)

    def start(self) -> None:
        """Make the data folder if there is none, start the server if it is down, and keep it up
        until `close` or the end of this process. Raises `Unavailable`."""
        self._make_folder()
        with self._locked("start.lock", fcntl.LOCK_EX):
            if self._users is None:
                self._users = self._lock("users.lock", fcntl.LOCK_SH)
            try:
                programs = self._programs()
                if not self.cluster.exists():
                    self._initialize(programs)
                if not self._is_up():
                    self._launch(programs)
                self._keep(programs)
                self._make_database()
            except BaseException:
                self._leave()
                raise

    def stop(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """Stop the server now, whoever uses it; `start` starts it again."""
        with self._locked("start.lock", fcntl.LOCK_EX):
            self._control(self._programs(), "stop", "-m", mode)

    def close(self) -> None:
        """Use it no longer. The server stops, and has when this returns, unless others use it."""
        if self._users is None:
            return
        self._leave()
        try:
            alone = self._lock("users.lock", fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._wait_for_keeper()
            return
        try:
            if self._is_up():
                self._control(self._programs(), "stop", "-m", "fast")
        finally:
            os.close(alone)
        self._reap_keeper()

    def _wait_for_keeper(self) -> None:
        try:
            os.close(self._lock("users.lock", fcntl.LOCK_SH | fcntl.LOCK_NB))
        except BlockingIOError:
            os.close(self._lock("users.lock", fcntl.LOCK_SH))
            self._reap_keeper()

    def _reap_keeper(self) -> None:
        if self._keeper is not None:
            self._keeper.wait()
            self._keeper = None

    # Folders and locks

    def _make_folder(self) -> None:
        self._user = binaries.account()
        try:
            if set(str(self.folder)) & set('"$`\\'):
                raise OSError(f"Postgres cannot take the name {self.folder}")
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            self._make_private(self.folder)
        except OSError as error:
            raise Unavailable(
                f"the data folder cannot be made: {error}; set PGQ_DATA_DIR to one that can, or "
                "DATABASE_URL to a server that runs"
            ) from None
        if (
            self._user
            and binaries.run(["sh", "-c", 'cd "$0"', self.folder], user=self._user).returncode
        ):
            raise Unavailable(
                f"{self.folder} cannot be reached by user {self._user.pw_name}, as whom Postgres "
                "runs for root: set PGQ_DATA_DIR to a folder that others may enter"
            )

    def _make_private(self, folder: Path) -> None:
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            pass
        else:
            self._give(folder)
        status = folder.lstat()
        owner = self._user.pw_uid if self._user else os.geteuid()
        if status.st_uid != owner or status.st_mode & 0o077 or folder.is_symlink():
            raise PermissionError(f"{folder} is not a folder of user {owner} alone")

    def _give(self, folder: Path) -> None:
        if self._user:
            os.chown(folder, self._user.pw_uid, self._user.pw_gid)

    def _lock(self, name: str, kind: int) -> int:
        descriptor = os.open(self.folder / name, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, kind)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    @contextmanager
    def _locked(self, name: str, kind: int) -> Iterator[None]:
        descriptor = self._lock(name, kind)
        try:
            yield
        finally:
            os.close(descriptor)

    def _leave(self) -> None:
        if self._users is not None:
            os.close(self._users)
            self._users = None

    # The server

    def _programs(self) -> Binaries:
        version = self.cluster / "PG_VERSION"
        major = int(version.read_text()) if version.exists() else None
        found, self._user = binaries.find(self._bin_dir, copies=self.folder, major=major)
        return found

    def _initialize(self, programs: Binaries) -> None:
        partial = self.cluster.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        locale = ["--locale-provider=builtin", "--locale=C.UTF-8"]
        options = [
            *("-U", "postgres", "-A", "trust", "-E", "UTF8", "-k"),
            *(locale if programs.major >= 17 else ["--locale=C"]),
            *([] if self._durable else ["-N"]),
        ]
        made = binaries.run([programs / "initdb", *options, "-D", partial], user=self._user)
        if made.returncode:
            raise Unavailable(f"initdb failed: {_last_words(made.stderr)}")
        partial.rename(self.cluster)

    def _launch(self, programs: Binaries) -> None:
        self._forget_dead_postmaster()
        if self.log.exists() and self.log.stat().st_size > LONGEST_LOG:
            self.log.unlink()
        socket = self._socket_folder()
        self._make_private(socket)
        quoted = str(socket).replace('"', '""')
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": f'"{quoted}"',
            "port": "5432",
        }
        if not self._durable:
            settings |= {"fsync": "off", "full_page_writes": "off"}
        settings |= self._settings
        options = " ".join(
            f"-c {shlex.quote(f'{name}={value}')}" for name, value in settings.items()
        )
        self._launch_after_orphans(programs, "-l", str(self.log), "-o", options)
        if not self._is_up():
            raise Unavailable(f"Postgres started but takes no connection; see {self.log}")

    def _launch_after_orphans(self, programs: Binaries, *options: str) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while True:
            try:
                return self._control(programs, "start", *options)
            except Unavailable as error:
                if "still in use" not in str(error) or time.monotonic() > deadline:
                    raise
            time.sleep(0.05)

    def _control(self, programs: Binaries, verb: str, *options: str) -> None:
        command = (programs / "pg_ctl", verb, "-D", self.cluster, "-w", "-t", str(START_TIMEOUT))
        done = binaries.run([*command, *options], user=self._user)
        if done.returncode and verb == "start":
            said = self.log.read_text(errors="replace") if self.log.exists() else done.stderr
            raise Unavailable(f"Postgres did not start: {_last_words(said)}; see {self.log}")
        if done.returncode:
            raise Unavailable(f"pg_ctl {verb} failed: {_last_words(done.stderr)}")

    def _keep(self, programs: Binaries) -> None:
        try:
            own = self._lock("keeper.lock", fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        users = os.open(self.folder / "users.lock", os.O_RDWR)
        uid, gid = (self._user.pw_uid, self._user.pw_gid) if self._user else (-1, -1)
        arguments = [str(users), str(own), str(uid), str(gid)]
        arguments += [str(programs / "pg_ctl"), str(self.cluster)]
        try:
            self._keeper = subprocess.Popen(
                [sys.executable, "-I", "-S", keeper.__file__, *arguments],
                pass_fds=(users, own),
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        finally:
            os.close(users)
            os.close(own)

    def _make_database(self) -> None:
        with psycopg.connect(self._dsn("postgres"), autocommit=True) as session:
            known = session.execute(
                "select from pg_catalog.pg_database where datname = %s", [DATABASE]
            ).fetchone()
            if known is None:
                session.execute(sql.SQL("create database {}").format(sql.Identifier(DATABASE)))

    def _is_up(self) -> bool:
        deadline = time.monotonic() + START_TIMEOUT
        while True:
            try:
                psycopg.connect(self._dsn("postgres"), connect_timeout=5).close()
            except psycopg.OperationalError as error:
                if "FATAL" not in str(error) and not self._postmaster_lives():
                    return False
                if time.monotonic() > deadline:
                    raise Unavailable(
                        f"Postgres runs but takes no connection: {' '.join(str(error).split())}"
                    ) from None
                time.sleep(0.05)
            else:
                return True

    def _postmaster_lives(self) -> bool:
        try:
            pid = int((self.cluster / "postmaster.pid").read_text().split("\n", 1)[0])
        except (OSError, ValueError):
            return False
        return _is_postgres(pid)

    def _forget_dead_postmaster(self) -> None:
        """Let go of the pid of a postmaster that is gone, and may be somebody else's by now.

        The rest of the file stays: by it Postgres finds processes of the dead one that still run.
        """
        pid_file = self.cluster / "postmaster.pid"
        if pid_file.exists() and not self._postmaster_lives():
            _, _, rest = pid_file.read_text().partition("\n")
            pid_file.write_text(f"{NOBODY}\n{rest}")
            (self._socket_folder() / ".s.PGSQL.5432.lock").unlink(missing_ok=True)

    def _socket_folder(self) -> Path:
        inside = self.folder / "socket"
        # A comma would make it two hosts.
        if len(os.fsencode(inside)) <= LONGEST_SOCKET_FOLDER and "," not in str(inside):
            return inside
        digest = hashlib.sha256(os.fsencode(self.folder)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"pgq-{digest}"

    def _dsn(self, database: str) -> str:
        return (
            f"postgresql://postgres@/{database}?host={quote(str(self._socket_folder()), safe='')}"
        )


def _is_postgres(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        try:
            _, _, rest = status.read_text().partition("(")
        except OSError:
            return False
        command, _, rest = rest.rpartition(")")
        return "postgres" in command and not rest.strip().startswith("Z")
    listed = subprocess.run(
        ["/bin/ps", "-o", "stat=,comm=", "-p", str(pid)],
        capture_output=True,
        text=True,
        check=False,
    )
    state, _, command = listed.stdout.strip().partition(" ")
    return "postgres" in command and not state.startswith("Z")


def _last_words(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    telling = [line for line in lines if re.search("FATAL|PANIC|error|invalid", line)]
    return "; ".join((telling or lines or ["it said nothing"])[-2:])
