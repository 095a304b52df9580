"""The next release: this one with one more migration, one more verb, and one more argument."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pgq
from faults.mutants import SITE
from pgq import schema

VERSION = schema.VERSION + 1
MIGRATION = """\
-- It never waits for one table for long while it holds another.
lock table pgq.job in access exclusive mode;
set local lock_timeout = '50ms';
lock table pgq.lease, pgq.queue in access exclusive mode;
alter table pgq.job add column origin text;
alter table pgq.lease add column remark text;
alter table pgq.queue add column remark text;
"""
VERB = """
create or replace function pgq.remark(p_queue text, p_remark text)
returns void
language sql
security definer
set search_path = ''
as $$
    insert into pgq.queue (queue, remark)
    values (p_queue, p_remark)
    on conflict (queue) do update
    set remark = excluded.remark
$$;
comment on function pgq.remark is 'A note about a queue.';
select pgq._allow('remark', 'pgq_operator');
"""
ARGUMENT = (
    "    p_ran_seconds  double precision[] default null\n)",
    "    p_ran_seconds  double precision[] default null,\n    p_remark       text default null\n)",
)
"""Of a verb that workers call all the time: replaced by one that takes another one besides."""
PATIENT = ("set local lock_timeout = '500ms'", "set local lock_timeout = '1h'")


class NextRelease:
    """A copy of the program, whose processes find it before the one that is installed."""

    def __init__(self, folder: Path, *, gives_way: bool = True) -> None:
        self._folder = folder
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(Path(pgq.__file__).parent, folder / "pgq", ignore=ignored)
        sql = folder / "pgq" / "sql"
        if not sql.exists():
            shutil.copytree(schema.sql_root(), sql)
        (sql / "migrations" / f"{VERSION:04}_next.sql").write_text(MIGRATION)
        (sql / "functions" / "remark.sql").write_text(VERB)
        _change(sql / "functions" / "complete_many.sql", *ARGUMENT)
        if not gives_way:
            _change(sql / "schema.sql", *PATIENT)

    @property
    def environment(self) -> dict[str, str]:
        """Of its processes."""
        return {"PYTHONPATH": os.pathsep.join([str(self._folder), str(SITE)])}

    def migrate(self, dsn: str) -> subprocess.Popen[str]:
        """Its `pgq migrate`, begun."""
        return subprocess.Popen(
            [sys.executable, "-m", "pgq", "migrate"],
            env={**os.environ, **self.environment, "DATABASE_URL": dsn},
            cwd=self._folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


def _change(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    if text.count(old) != 1:
        raise AssertionError(f"{file.name} has changed: {old!r}")
    file.write_text(text.replace(old, new))
