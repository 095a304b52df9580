"""What dialogs show as SQL, curl, command line and Python does what the dialog's button does."""

from __future__ import annotations

import asyncio
import html
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from browsing import Tab
from playwright.sync_api import Locator, Response
from serving import Service

import processes
from pgq import App
from sql.states import job_in
from sql.support import Conn, call, column, insert, register, row, state, value

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


def _duplicate(conn: Conn) -> Dialog:
    job = job_in(conn, "succeeded", queue=_new_queue(conn))
    before = _count(conn)
    return Dialog(f"/ui/jobs/{job}/duplicate", lambda: _count(conn) == before + 1)


def _pause(conn: Conn) -> Dialog:
    call(conn, "resume", queue="it's")
    is_paused = "select paused_at is not null from pgq.get_queue('it''s')"
    return Dialog("/ui/queues/it's/pause", lambda: bool(value(conn, is_paused)))


def _resume(conn: Conn) -> Dialog:
    call(conn, "pause", queue="it's")
    goes_on = "select paused_at is null from pgq.get_queue('it''s')"
    return Dialog("/ui/queues/it's/resume", lambda: bool(value(conn, goes_on)))


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


def _purge_these(conn: Conn) -> Dialog:
    return _many(conn, "verb=purge&id={}&id={}", "dead", None)


DIALOGS = (
    _retry, _run_now, _cancel, _duplicate, _pause, _resume, _drain, _undrain, _cancel_these,
    _cancel_found, _retry_dead, _retry_old, _purge, _purge_these,
)  # fmt: skip


@pytest.mark.parametrize("opened", DIALOGS)
def test_each_face_of_a_dialog_does_what_its_button_does(
    service: Service, conn: Conn, dsn: str, opened: Callable[[Conn], Dialog]
) -> None:
    insert(conn, queue="it's")
    for name in FACES:
        dialog = opened(conn)
        shown = _faces(service, dialog.path)
        _RUN[name](shown[name], conn, dsn)
        processes.wait(dialog.is_done)  # the server does upkeep as well, and may be at it


@dataclass(frozen=True)
class Form:
    """A dialog, what is typed into it, the words on its button, and what shows what was done."""

    path: str
    fill: Callable[[Locator], None]
    button: str
    result: Callable[[], Any]


_MADE = (
    "select j.task, j.queue, j.priority, j.payload::jsonb::text, j.run_at is not null, "
    "j.max_attempts, j.timeout, j.unique_key, j.tags from pgq.job j order by j.id desc limit 1"
)
_PAYLOAD = '{"to": "it\'s \\\\ é", "n": 12345678901234567890.50, "list": [null, true, 1e2]}'


def _edited(conn: Conn) -> Form:
    job = job_in(conn, "scheduled", payload='{"to": "a"}')

    def fill(dialog: Locator) -> None:
        dialog.get_by_label("Payload").fill(_PAYLOAD)
        dialog.get_by_label("Priority").fill("0")
        dialog.get_by_label("Not before").fill("2033-01-31T09:30:05")

    told = "select payload::text, priority, run_at from pgq.job where id = %s"
    return Form(f"/ui/jobs/{job}/edit", fill, "Edit", lambda: row(conn, told, [job]))


def _duplicated(conn: Conn) -> Form:
    job = job_in(conn, "succeeded", payload='{"to": "a"}')

    def fill(dialog: Locator) -> None:
        dialog.get_by_label("Payload").fill(_PAYLOAD)
        dialog.get_by_label("Queue").fill("it's")
        dialog.get_by_label("Priority").fill("9")
        dialog.get_by_label("Not before").fill("2033-01-31T09:30:05")

    return Form(f"/ui/jobs/{job}/duplicate", fill, "Duplicate", lambda: row(conn, _MADE))


def _new_as_json(conn: Conn) -> Form:
    def fill(dialog: Locator) -> None:
        dialog.get_by_label("Payload").fill(_PAYLOAD)
        dialog.get_by_label("Queue").fill("it's")
        dialog.get_by_text("Options").click()
        dialog.get_by_label("Priority").fill("0")
        dialog.get_by_label("Not before").fill("2 h")
        dialog.get_by_label("Attempts").fill("3")
        dialog.get_by_label("Timeout").fill("90 s")
        dialog.get_by_label("Tags").fill("vip eu")

    return Form("/ui/new?task=-send", fill, "Enter job", lambda: row(conn, _MADE))


def _new_by_fields(conn: Conn) -> Form:
    register(conn, "mail", name="shop")
    schema = {
        "properties": {
            "to": {"type": "string", "title": "To"},
            "copies": {"type": "integer", "title": "Copies"},
            "urgent": {"type": "boolean", "title": "Urgent"},
        },
        "required": ["to"],
    }
    conn.execute("update pgq.worker set tasks = %s", [json.dumps({"send": schema})])

    def fill(dialog: Locator) -> None:
        dialog.get_by_label("To").fill("ada's")
        dialog.get_by_label("Copies").fill("3")
        dialog.get_by_label("Urgent").check()

    return Form("/ui/new?task=send", fill, "Enter job", lambda: row(conn, _MADE))


def _settings(conn: Conn) -> Form:
    call(conn, "configure_queue", queue="it's", max_attempts=4, timeout=None, reset=["timeout"])

    def fill(dialog: Locator) -> None:
        dialog.get_by_label("Timeout").fill("90 s")
        dialog.get_by_label("Payload limit").fill("4096")
        dialog.get_by_label("Attempts").fill("")

    told = "select overridden, max_attempts, timeout, payload_limit from pgq.get_queue('it''s')"
    return Form("/ui/queues/it's/settings", fill, "Save", lambda: row(conn, told))


def _operation(conn: Conn) -> Any:
    told = "select verb, filter, ids, payload::text, most, rate from pgq.operation"
    found = row(conn, f"{told} order by id desc limit 1")
    return {**found, "ids": found["ids"] and len(found["ids"])}


def _retried_slowly(conn: Conn) -> Form:
    queue = _new_queue(conn)
    for _ in range(3):
        job_in(conn, "dead", queue=queue)

    def fill(dialog: Locator) -> None:
        dialog.get_by_label("dead").check()
        dialog.get_by_label("At most").fill("2")
        dialog.get_by_label("Jobs a second").fill("0.5")
        dialog.get_by_label("Change in each payload").fill('{"again": 1.50}')
        dialog.locator("#preview", has_text="2 jobs").wait_for()

    def result() -> Any:
        found = _operation(conn)
        found["filter"].pop("queue")
        return found

    path = f"/ui/operations/new?verb=retry&q=queue:%22{queue}%22"
    return Form(path, fill, "Retry", result)


def _cancelled_two_of_three(conn: Conn) -> Form:
    jobs = insert(conn, 3)
    path = "/ui/operations/new?verb=cancel" + "".join(f"&id={job}" for job in jobs)

    def fill(dialog: Locator) -> None:
        dialog.get_by_label("At most").fill("2")

    return Form(path, fill, "Cancel", lambda: _operation(conn))


def _retried_with_a_change(conn: Conn) -> Form:
    of = {"queue": _new_queue(conn), "payload": '{"to": "ada", "again": 0}'}
    jobs = [job_in(conn, "dead", **of) for _ in range(2)]
    path = "/ui/operations/new?verb=retry" + "".join(f"&id={job}" for job in jobs)

    def fill(dialog: Locator) -> None:
        dialog.get_by_label("Change in each payload").fill('{"again": 1.50}')

    def result() -> Any:
        call(conn, "operate")
        told = "select payload::text from pgq.job where id = any (%s)"
        return column(conn, told, [jobs])

    return Form(path, fill, "Retry", result)


FORMS = (
    _edited, _duplicated, _new_as_json, _new_by_fields, _settings, _retried_slowly,
    _cancelled_two_of_three, _retried_with_a_change,
)  # fmt: skip


@pytest.mark.parametrize("opened", FORMS)
def test_what_a_dialog_shows_follows_its_form(
    tab: Tab, conn: Conn, dsn: str, opened: Callable[[Conn], Form]
) -> None:
    insert(conn, queue="it's")
    pressed = opened(conn)
    tab.go(pressed.path)
    pressed.fill(tab.find("main"))
    with tab.page.expect_response(_is_deed) as deed:
        tab.page.get_by_role("button", name=pressed.button, exact=True).click()
    if address := deed.value.headers.get("hx-redirect"):
        tab.page.wait_for_url(f"**{address}")
    wanted = pressed.result()
    for name in FACES:
        shown = opened(conn)
        text = _shown(tab, shown)[name]
        _RUN[name](text, conn, dsn)
        assert shown.result() == wanted, f"{name}: {text}"


def _is_deed(answer: Response) -> bool:
    is_faces = answer.url.endswith("/faces")
    return answer.request.method == "POST" and not is_faces and answer.ok


def _shown(tab: Tab, form: Form) -> dict[str, str]:
    """The faces of a form that is filled in after they were unfolded."""
    tab.go(form.path).find(".faces summary").click()
    form.fill(tab.find("main"))
    tab.find("#faces:not([aria-busy]) pre").first.wait_for()
    names = tab.find("#faces h3").all_inner_texts()
    return {
        name: tab.find("#faces > div").nth(n).locator("code").inner_text()
        for n, name in enumerate(names)
        if tab.find("#faces > div").nth(n).locator("code").count()
    }


def test_values_that_are_masked_are_not_told_elsewhere(tab: Tab, conn: Conn) -> None:
    job = job_in(conn, "scheduled", payload='{"to": "a", "password": "canary"}')
    dialog = tab.go(f"/ui/jobs/{job}").open_dialog("Edit…")
    dialog.locator(".faces summary").click()
    dialog.locator("#faces", has_text="Nothing is changed yet").wait_for()
    payload = dialog.get_by_label("Payload")
    payload.fill(payload.input_value().replace('"a"', '"b"'))
    dialog.locator("#faces", has_text="masked here, and they are not told").wait_for()
    payload.fill('{"to": "b"}')
    dialog.locator("#faces code", has_text='{"to": "b"}').first.wait_for()
    assert "canary" not in tab.page.content()


def test_what_is_shown_says_what_is_wrong_with_the_form(tab: Tab, conn: Conn) -> None:
    tab.go("/ui/new?task=send")
    dialog = tab.find("main")
    dialog.locator(".faces summary").click()
    dialog.get_by_label("Payload").fill("{broken")
    dialog.locator("#faces", has_text="is no JSON").wait_for()
    assert dialog.locator("#faces code").count() == 0


def test_a_dialog_for_many_jobs_counts_again_for_what_is_chosen(tab: Tab, conn: Conn) -> None:
    for _ in range(3):
        job_in(conn, "dead")
    job_in(conn, "cancelled")
    dialog = tab.go("/ui/jobs").open_dialog("Retry…")
    dialog.locator("#preview", has_text="4 jobs").wait_for()
    dialog.get_by_label("Jobs a second").fill("2")
    dialog.get_by_label("dead").check()
    dialog.locator("#preview", has_text="3 jobs").wait_for()
    dialog.get_by_label("At most").fill("1")
    dialog.locator("#preview", has_text="1 job").wait_for()
    assert dialog.get_by_label("Jobs a second").input_value() == "2"


def _faces(service: Service, path: str) -> dict[str, str]:
    page = service.client().get(path).raise_for_status().text
    found = re.findall(
        r"<h3>([^<]*)</h3><div class=\"snippet\">.*?<code>(.*?)</code>", page, re.DOTALL
    )
    return {name: html.unescape(re.sub(r"<[^>]*>", "", text)) for name, text in found}


def _run_sql(text: str, conn: Conn, dsn: str) -> None:
    conn.execute(text.encode())


def _run_curl(text: str, conn: Conn, dsn: str) -> None:
    if shutil.which("curl"):
        _shell(text.replace("curl ", "curl -sS --fail-with-body ", 1), dsn)
    else:
        pytest.skip("needs curl")


def _run_command(text: str, conn: Conn, dsn: str) -> None:
    asks = re.match("pgq (job (cancel|retry|run-now)|dead) ", text)
    _shell(f"{text} --yes" if asks else text, dsn)


def _run_python(text: str, conn: Conn, dsn: str) -> None:
    code = text.removeprefix("await ")
    if code == text:
        eval(code, {"connection": conn})
    else:
        with ThreadPoolExecutor(1) as pool:  # a loop of its own: the browser's may run here
            pool.submit(asyncio.run, _awaited(code, dsn)).result()


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
