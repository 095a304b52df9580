"""A primary and its standby, by streaming replication; after a failover a new standby is made."""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path
from typing import LiteralString
from urllib.parse import parse_qs, urlsplit

from faults.stage import Stage
from pgq import binaries
from pgq.postgres import Postgres
from pgq_bench.server import Session, opened, value

CATCHES_UP = 30.0
PROMOTED = 20.0
"""Seconds that a promotion may take."""


class Pair:
    """Starts from the stage's own server as the primary. `dsn` leads to whichever is that."""

    def __init__(self, stage: Stage, *, synchronous: bool, bin_dir: Path | None) -> None:
        self._stage, self._synchronous, self._bin_dir = stage, synchronous, bin_dir
        folder = stage.folder / "second"
        folder.mkdir(mode=0o711)
        self._primary = stage.server
        self._standby = Postgres(folder, bin_dir=bin_dir, settings=stage.outcome.row.settings)
        hosts = ",".join(_host(server.dsn) for server in (self._primary, self._standby))
        self.dsn = (
            f"postgresql://postgres@/pgq?host={hosts}&port=5432,5432"
            "&target_session_attrs=read-write&connect_timeout=2"
        )
        self._follow()

    @property
    def standby(self) -> str:
        """The DSN of the standby, for looks at what it has."""
        return self._standby.dsn

    def cut(self) -> float:
        """The standby gets no more. It has all from before the time that is returned."""
        at = time.time()
        with opened(self._primary.dsn) as session:
            written = value(session, "select pg_current_wal_insert_lsn()")
        with opened(self._standby.dsn) as session:
            self._await(session, "pg_last_wal_receive_lsn() >= %s", [written])
            session.execute("alter system set primary_conninfo = ''")
            session.execute("select pg_reload_conf()")
            self._await(session, "not exists (select from pg_stat_wal_receiver)")
            self._await(session, "pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn()")
        return at

    def fail_over(self) -> float:
        """Kill the primary and promote the standby; when it was promoted."""
        pid = int((self._primary.cluster / "postmaster.pid").read_text().splitlines()[0])
        os.kill(pid, signal.SIGKILL)
        with opened(self._standby.dsn) as session:
            session.execute("select pg_promote(false)")
            promoted = self._stage.wait_until(
                lambda: value(session, "select not pg_is_in_recovery()"), PROMOTED
            )
        if not promoted:
            raise AssertionError("the standby is not promoted")
        promoted_at = time.time()
        self._primary, self._standby = self._standby, self._primary
        self._stage.server = self._primary
        return promoted_at

    def rebuild(self) -> None:
        """Make the server that was killed a standby of the one that was promoted."""
        self._standby.close()
        shutil.rmtree(self._standby.cluster)
        self._follow()

    def close(self) -> None:
        """Stop the standby."""
        self._standby.close()

    def _await(
        self, session: Session, condition: LiteralString, values: list[str] | None = None
    ) -> None:
        if not self._stage.wait_until(
            lambda: value(session, f"select {condition}", values), CATCHES_UP
        ):
            raise AssertionError(f"the standby does not get to where {condition}")

    def _follow(self) -> None:
        programs, user = binaries.find(self._bin_dir, copies=self._standby.folder)
        self._standby.folder.mkdir(mode=0o700, exist_ok=True)
        if user:
            os.chown(self._standby.folder, user.pw_uid, user.pw_gid)
        copied = binaries.run(
            [
                *(programs / "pg_basebackup", "-d", self._primary.dsn, "-D", self._standby.cluster),
                *("-R", "-X", "stream", "-c", "fast"),
            ],
            user=user,
        )
        if copied.returncode:
            raise AssertionError(copied.stderr)
        self._standby.start()
        with opened(self._primary.dsn) as session:
            wanted = "*" if self._synchronous else ""
            session.execute(f"alter system set synchronous_standby_names = '{wanted}'".encode())
            session.execute("select pg_reload_conf()")
            state = "sync" if self._synchronous else "async"
            follows = self._stage.wait_until(
                lambda: value(
                    session,
                    "select count(*) from pg_stat_replication "
                    "where state = 'streaming' and sync_state = %s",
                    [state],
                ),
                CATCHES_UP,
            )
        if not follows:
            raise AssertionError("the standby does not follow")


def _host(dsn: str) -> str:
    return parse_qs(urlsplit(dsn).query)["host"][0]
