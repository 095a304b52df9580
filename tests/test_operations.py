"""Every command of docs/operations.md works as it stands there, in its order."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

import pgq
import servers
from faults.pooler import Pooler
from faults.row import NotPlayable
from pgq.postgres import Postgres

PAGE = Path(pgq.__file__).parent.parent / "docs" / "operations.md"
SECTIONS = [
    re.findall(r"```(sh|sql)\n(.*?)```", section, re.DOTALL)
    for section in PAGE.read_text().split("\n## ")
]
BLOCKS = [block for section in SECTIONS for block in section]
ELSEWHERE = ("pip install", "systemctl")
"""What would change the machine; test_booted.py and test_systemd.py restart units."""


class Site:
    """Where the page is followed: a server, its pooler, and what the environment has become."""

    def __init__(self, server: Postgres, folder: Path, stack: ExitStack) -> None:
        self.administrator = make_conninfo(server.dsn, dbname="app")
        self.folder = folder
        self.host = str(conninfo_to_dict(server.dsn)["host"])
        self.restored = make_conninfo(server.dsn, dbname="restored")
        with psycopg.connect(server.dsn, autocommit=True) as session:
            session.execute("create database app")
            session.execute("create database restored")
        try:
            self.pooled_port = str(
                conninfo_to_dict(stack.enter_context(Pooler(self.administrator)).dsn)["port"]
            )
        except NotPlayable as why:
            pytest.skip(str(why))
        plain = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
        programs = f"{Path(sys.executable).parent}:{Path(servers.program('psql')).parent}"
        self.environment = {
            **plain,
            "PATH": f"{programs}:{plain['PATH']}",
            "DATABASE_URL": make_conninfo(self.administrator, user="queue"),
        }

    def local(self, text: str) -> str:
        """What a reader would put in: names of hosts."""
        text = text.replace(
            "@db1.example.com:5432,db2.example.com:5432/app?",
            f"@/app?host={self.host},{self.host}/nobody&port=5432,5432&",
        )
        text = text.replace("pooler.example.com:6432", f"127.0.0.1:{self.pooled_port}")
        text = text.replace("@new.example.com:5432/app", f"@/restored?host={self.host}")
        text = re.sub(r"@db\.example\.com:5432/app\?", f"@/app?host={self.host}&", text)
        text = text.replace("@db.example.com:5432/app", f"@/app?host={self.host}")
        # Through a folder's socket nothing is encrypted, and no certificate looked at.
        return text.replace("sslmode=verify-full", "sslmode=prefer")

    def sh(self, text: str) -> subprocess.CompletedProcess[str]:
        """Run a block; what it exports stays until `begin`."""
        kept = self.folder / "environment"
        done = subprocess.run(
            ["/bin/sh", "-ec", f"{self.local(text)}\nenv -0 > {kept}"],
            env=self.exported,
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode == 0:
            pairs = kept.read_text().split("\0")
            self.exported = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
        return done

    def begin(self) -> None:
        """A section: what another one exported is forgotten."""
        self.exported = self.environment

    def sql(self, text: str) -> None:
        """Run a block as the administrator; the database of a new server is called so here."""
        text = text.replace("on database app", "on database restored")
        with psycopg.connect(self.administrator, autocommit=True) as session:
            for statement in text.split(";\n"):
                if statement.strip():
                    session.execute(statement.encode())


@pytest.fixture
def site(private_server: Postgres, tmp_path: Path) -> Iterator[Site]:
    with ExitStack() as stack:
        yield Site(private_server, tmp_path, stack)


def test_page_can_be_followed_from_top_to_bottom(site: Site) -> None:
    for section in SECTIONS:
        site.begin()
        for kind, text in section:
            if kind == "sql":
                site.sql(text)
                continue
            lines = [line for line in text.splitlines() if not line.startswith(ELSEWHERE)]
            done = site.sh("\n".join(lines))
            # Nobody works here, of which a doctor that looks at everything tells.
            fine = (0, 7, 8) if lines and lines[-1] == "pgq doctor" else (0,)
            assert done.returncode in fine, f"{lines}\n{done.stdout}{done.stderr}"
    with psycopg.connect(site.administrator) as session:
        owner = session.execute(
            "select r.rolname, r.rolsuper, r.rolcreaterole, r.rolcreatedb from pg_namespace n"
            " join pg_roles r on r.oid = n.nspowner where n.nspname = 'pgq'"
        ).fetchone()
    assert owner == ("queue", False, False, False)


def test_what_the_page_leaves_to_the_machine_are_programs_that_it_has() -> None:
    told = {
        line.split()[0]
        for kind, text in BLOCKS
        if kind == "sh"
        for line in text.splitlines()
        if line.startswith(ELSEWHERE)
    }
    assert told == {"pip", "systemctl"}


def test_each_role_of_the_page_can_do_its_part(site: Site) -> None:
    sql = [text for kind, text in BLOCKS if kind == "sql"]
    site.sql(sql[0])
    owner = make_conninfo(site.administrator, user="queue")
    pgq_ = [sys.executable, "-m", "pgq", "--dsn"]

    def run(user: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*pgq_, make_conninfo(site.administrator, user=user), *arguments],
            env=site.environment,
            cwd=site.folder,
            capture_output=True,
            text=True,
            check=False,
        )

    assert run("queue", "migrate").returncode == 0
    site.sql(sql[1])
    with psycopg.connect(make_conninfo(owner, user="shop"), autocommit=True) as shop:
        shop.execute("insert into pgq.job (task) values ('echo') returning id")
    assert run("shop_viewer", "job", "list").returncode == 0
    assert run("shop_server", "token", "create", "web", "--scope", "enqueue").returncode == 0
    assert run("shop_viewer", "token", "create", "web", "--scope", "enqueue").returncode != 0
    worker = make_conninfo(owner, user="shop_worker")
    with psycopg.connect(worker, autocommit=True) as session:
        claimed = session.execute(
            "select id, token from pgq.claim(0, 0, gen_random_uuid(), '{default}', '{1}')"
        ).fetchone()
        assert claimed
        session.execute("select pgq.complete(%s, %s)", claimed)
        session.execute("call pgq.tick()")


def test_page_is_linked_from_the_readme() -> None:
    assert "(docs/operations.md)" in (PAGE.parent.parent / "README.md").read_text()
