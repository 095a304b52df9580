"""What dialogs show as SQL, curl, command line and Python does what the dialog's button does."""

from __future__ import annotations

import asyncio
import html
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from serving import Service

from pgq import App
from sql.states import job_in
from sql.support import Conn, call, insert, register, state, value

FACES = ("SQL", "curl", "Command line", "Python")


@dataclass(frozen=True)
class Dialog:
    """Where it is, and what shows that it was done."""

    path: str
    is_done: Callable[[], bool]


def _job(conn: Conn, kind: str, wanted: str, after: str) -> Dialog:
    job = job_in(conn, wanted, queue=_new_queue(conn))
    return Dialog(f"/ui/jobs/{job}/{kind}", lambda: state(conn, job) == after)


def _retry(conn: Conn) -> Dialog:
    return _job(conn, "retry", "dead", "ready")


def _run_now(conn: Conn) -> Dialog:
    return _job(conn, "run-now", "scheduled", "ready")


def _cancel(conn: Conn) -> Dialog:
    return _job(conn, "cancel", "ready", "cancelled")


def _edit(conn: Conn) -> Dialog:
    return _job(conn, "edit", "scheduled", "scheduled")


def _duplicate(conn: Conn) -> Dialog:
    job = job_in(conn, "succeeded", queue=_new_queue(conn))
    before = _count(conn)
    return Dialog(f"/ui/jobs/{job}/duplicate", lambda: _count(conn) == before + 1)


def _new(conn: Conn) -> Dialog:
    before = _count(conn)
    return Dialog("/ui/new?task=send&queue=it's", lambda: _count(conn) == before + 1)


def _pause(conn: Conn) -> Dialog:
    call(conn, "resume", queue="it's")
    is_paused = "select paused_at is not null from pgq.get_queue('it''s')"
    return Dialog("/ui/queues/it's/pause", lambda: bool(value(conn, is_paused)))


def _resume(conn: Conn) -> Dialog:
    call(conn, "pause", queue="it's")
    goes_on = "select paused_at is null from pgq.get_queue('it''s')"
    return Dialog("/ui/queues/it's/resume", lambda: bool(value(conn, goes_on)))


def _settings(conn: Conn) -> Dialog:
    call(conn, "configure_queue", queue="it's", reset=["max_attempts", "timeout"])
    own = "select cardinality(overridden) from pgq.get_queue('it''s')"
    return Dialog("/ui/queues/it's/settings", lambda: value(conn, own) == 2)


def _drain(conn: Conn) -> Dialog:
    worker = register(conn)
    drains = "select not pgq.drain(%s, true)"
    return Dialog(f"/ui/workers/{worker}/drain", lambda: bool(value(conn, drains, [worker])))


def _undrain(conn: Conn) -> Dialog:
    worker = register(conn)
    call(conn, "drain", worker=worker)
    works = "select not pgq.drain(%s, false)"
    return Dialog(f"/ui/workers/{worker}/undrain", lambda: bool(value(conn, works, [worker])))


def _many(conn: Conn, query: str, wanted: str, after: str | None) -> Dialog:
    of = {"queue": _new_queue(conn), "tags": ["vip"], "payload": '{"user": {"id": 3}}'}
    jobs = [job_in(conn, wanted, **of) for _ in range(2)]
    query = query.format(*jobs)

    def is_done() -> bool:
        call(conn, "operate")
        return {state(conn, job) for job in jobs} == {after}

    return Dialog(f"/ui/operations/new?{query}", is_done)


def _cancel_these(conn: Conn) -> Dialog:
    return _many(conn, "verb=cancel&id={}&id={}", "ready", "cancelled")


def _cancel_found(conn: Conn) -> Dialog:
    query = "verb=cancel&q=payload.user.id:3 tag:vip created:<1h"
    return _many(conn, query, "scheduled", "cancelled")


def _retry_dead(conn: Conn) -> Dialog:
    return _many(conn, "verb=retry&q=state:dead", "dead", "ready")


def _retry_old(conn: Conn) -> Dialog:
    """None is so old."""
    return _many(conn, "verb=retry&q=state:dead created:>1h", "dead", "dead")


def _purge(conn: Conn) -> Dialog:
    return _many(conn, "verb=purge", "dead", None)


DIALOGS = (
    _retry, _run_now, _cancel, _edit, _duplicate, _new, _pause, _resume, _settings, _drain,
    _undrain, _cancel_these, _cancel_found, _retry_dead, _retry_old, _purge,
)  # fmt: skip


@pytest.mark.parametrize("opened", DIALOGS)
def test_each_face_of_a_dialog_does_what_its_button_does(
    service: Service, conn: Conn, dsn: str, opened: Callable[[Conn], Dialog]
) -> None:
    insert(conn, queue="it's")
    for name in FACES:
        dialog = opened(conn)
        shown = _faces(service, dialog.path)
        if name == "Command line" and name not in shown:
            assert opened in (_cancel_found, _retry_old)  # the command line has none
            continue
        _RUN[name](shown[name], conn, dsn)
        assert dialog.is_done(), f"{name}: {shown[name]}"


def _faces(service: Service, path: str) -> dict[str, str]:
    page = service.client().get(path).raise_for_status().text
    found = re.findall(r"<h3>([^<]*)</h3>.*?<code[^>]*>(.*?)</code>", page, re.DOTALL)
    return {name: html.unescape(re.sub(r"<[^>]*>", "", text)) for name, text in found}


def _run_sql(text: str, conn: Conn, dsn: str) -> None:
    conn.execute(text.encode())


def _run_curl(text: str, conn: Conn, dsn: str) -> None:
    if shutil.which("curl"):
        _shell(text.replace("curl ", "curl -sS --fail-with-body ", 1), dsn)
    else:
        pytest.skip("needs curl")


def _run_command(text: str, conn: Conn, dsn: str) -> None:
    _shell(f"{text} --yes" if " purge " in text else text, dsn)


def _run_python(text: str, conn: Conn, dsn: str) -> None:
    code = text.removeprefix("await ")
    if code == text:
        eval(code, {"connection": conn})
    else:
        asyncio.run(_awaited(code, dsn))


async def _awaited(code: str, dsn: str) -> None:
    async with App(dsn) as app:
        await eval(code, {"app": app})


_RUN: dict[str, Callable[[str, Conn, str], None]] = dict(
    zip(FACES, (_run_sql, _run_curl, _run_command, _run_python), strict=True)
)


def _shell(text: str, dsn: str) -> None:
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment: dict[str, Any] = {**os.environ, "PATH": programs, "DATABASE_URL": dsn}
    environment.pop("PGQ_TOKEN", None)
    done = subprocess.run(
        ["/bin/sh", "-c", text], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _new_queue(conn: Conn) -> str:
    return f"queue {_count(conn)}"


def _count(conn: Conn) -> int:
    return int(value(conn, "select count(*) from pgq.job"))
