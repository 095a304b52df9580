"""Text from jobs, workers and addresses is text, whatever it looks like."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest
from attacks import ATTACKS
from browsing import Tab

from sql.support import Conn, answer, call, claim_one, hold, insert


def _sown(conn: Conn, text: str) -> list[int]:
    """Jobs that have the text in every field that is ever shown."""
    queue = text[:200]
    conn.execute("select pgq.configure_queue(%s, p_max_attempts => 3)", [queue])
    (found,) = call(
        conn,
        "register_worker",
        name=text,
        queues=[queue],
        slots=4,
        info=json.dumps({"host": text, text: "x"}),
    )
    columns = {
        "task": text[:200],
        "queue": queue,
        "payload": json.dumps({text: text, "list": [text]}),
        "headers": json.dumps({text: text}),
        "tags": [text[:100]],
    }
    insert(conn, **columns, unique_key=text[:200])
    jobs = []
    for ending in ("dead", "retrying", "succeeded"):
        insert(conn, **columns)
        lease = claim_one(conn, worker=int(found["worker"]), queues=[queue])
        answer(conn, "log", **hold(lease), message=text, progress=0.5)
        if ending == "succeeded":
            call(conn, "complete", **hold(lease), result=json.dumps({text: text}))
        else:
            call(
                conn,
                "fail",
                **hold(lease),
                error_class=text[:200],
                message=text,
                traceback=text,
                permanent=ending == "dead",
                retry_in="1 hour",
            )
        jobs.append(int(lease["id"]))
    return jobs


def _look(tab: Tab, path: str) -> None:
    tab.go(path)
    tab.find("main").wait_for()
    assert (
        tab.page.evaluate(
            "document.querySelectorAll('main script, main iframe, main [onerror], "
            "main [onload], main object, main base, main meta').length"
        )
        == 0
    ), path
    assert tab.complaints() == [], path


@pytest.mark.timeout(600)
def test_fifty_attacks_in_every_field_are_text(tab: Tab, conn: Conn) -> None:
    sown = [_sown(conn, text) for text in ATTACKS]
    for verb in ("settle", "fold"):
        conn.execute(f"select pgq.{verb}()".encode())
    call(conn, "start_operation", verb="cancel", task=ATTACKS[0], by=ATTACKS[4], rate=0.001)
    for path in ("/ui", "/ui/jobs", "/ui/queues", "/ui/workers", "/ui/dead", "/ui/operations"):
        _look(tab, path)
    for text, jobs in zip(ATTACKS, sown, strict=True):
        for job in jobs:
            _look(tab, f"/ui/jobs/{job}")
        name = quote(text[:200], safe="")
        _look(tab, f"/ui/jobs/{jobs[0]}/duplicate")
        _look(tab, f"/ui/queues/{name}")
        _look(tab, f"/ui/jobs?q={quote(text)}")
        _look(tab, f"/ui/dead?task={name}")


def test_attacks_are_text_in_every_list(tab: Tab, conn: Conn) -> None:
    for text in ATTACKS[::10]:
        _sown(conn, text)
    for path in ("/ui", "/ui/jobs", "/ui/queues", "/ui/workers", "/ui/dead"):
        _look(tab, path)


def test_attacks_in_dialogs_are_text(tab: Tab, conn: Conn) -> None:
    for text in ATTACKS[::3]:
        _sown(conn, text)
    tab.go("/ui/jobs").open_dialog("Retry…")
    tab.page.keyboard.press("Escape")
    tab.go("/ui/workers").open_dialog("Drain…")
    _assert_no_scripts(tab)


def test_attacks_in_suggestions_are_text(tab: Tab, conn: Conn) -> None:
    for text in ATTACKS[::3]:
        insert(conn, queue=text[:200])
    tab.go("/ui/jobs")
    tab.find("#filter-input").fill("queue:")
    tab.find("#suggestions [role=option]").first.wait_for()
    assert tab.find("#suggestions b *").count() == 0
    _assert_no_scripts(tab)


def _assert_no_scripts(tab: Tab) -> None:
    assert tab.page.evaluate("document.querySelectorAll('main script, dialog script').length") == 0


def test_lines_of_a_live_log_are_text(tab: Tab, conn: Conn) -> None:
    insert(conn)
    lease = claim_one(conn)
    tab.go(f"/ui/jobs/{lease['id']}").find("#link-state[data-ui-link=live]").wait_for()
    for text in ATTACKS:
        answer(conn, "log", **hold(lease), message=text)
    tab.find(f"#log [data-n='{len(ATTACKS)}']").wait_for()
    assert tab.find("#log .line .text").all_text_contents() == list(ATTACKS)
