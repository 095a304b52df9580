"""The list of jobs: filter, order, pages, keyboard, selection."""

from __future__ import annotations

import json
import re

from browsing import Tab

from sql.states import job_in
from sql.support import Conn, insert, state


def _ids(tab: Tab) -> list[int]:
    rows = tab.find("tr[data-row]")
    return [int(id_.removeprefix("job-")) for id_ in rows.evaluate_all("all => all.map(e => e.id)")]


def _filter(tab: Tab, text: str) -> None:
    tab.find("#filter-input").fill(text)
    tab.page.get_by_role("button", name="Filter", exact=True).click()
    tab.page.wait_for_load_state()


def test_the_filter_finds_what_it_says(tab: Tab, conn: Conn) -> None:
    dead = job_in(conn, "dead", task="send", queue="mail", tags=["vip"])
    scheduled = job_in(conn, "scheduled", task="send", queue="mail")
    (deep,) = insert(conn, task="resize", payload=json.dumps({"user": {"id": 42}}))
    tab.go("/ui/jobs")
    assert set(_ids(tab)) == {dead, scheduled, deep}
    for text, expected in {
        "state:dead": [dead],
        "queue:mail state:scheduled": [scheduled],
        "task:send tag:vip": [dead],
        "payload.user.id:42": [deep],
        f"id:{scheduled}": [scheduled],
        "resize": [deep],
        "created:>1h": [],
        "created:<1h task:resize": [deep],
    }.items():
        _filter(tab, text)
        assert _ids(tab) == expected, text
        assert tab.find("#filter-input").input_value() == text


def test_a_filter_that_makes_no_sense_says_why(tab: Tab, conn: Conn) -> None:
    insert(conn)
    tab.go("/ui/jobs?q=colour:red")
    assert "colour: is unknown; expected state, queue, task" in tab.text("[role=alert]")
    assert _ids(tab) == []


def test_tabs_say_how_many_and_keep_the_rest_of_the_filter(tab: Tab, conn: Conn) -> None:
    job_in(conn, "dead", queue="mail")
    job_in(conn, "dead")
    conn.execute("select pgq.fold()")
    tab.go("/ui/jobs?q=queue:mail")
    dead = tab.page.get_by_role("link", name=re.compile("^dead"))
    assert dead.inner_text().split() == ["dead", "1"]
    dead.click()
    tab.find(".tabs [aria-current]", has_text="dead").wait_for()
    assert tab.find("#filter-input").input_value() == "queue:mail state:dead"


def test_a_total_is_capped(tab: Tab, conn: Conn) -> None:
    insert(conn, 10_001, queue="mail")
    (only,) = insert(conn)
    for path in ("", "?q=queue:mail", "?q=queue:mail+state:ready"):
        assert tab.go(f"/ui/jobs{path}").text("#total") == "50 jobs of 10,000+", path
    conn.execute("select pgq.fold()")
    assert tab.go("/ui/jobs?q=queue:default").text("#total") == "1 job of 1"
    assert _ids(tab) == [only]


def test_pages_go_forth_and_back_by_their_ends(tab: Tab, conn: Conn) -> None:
    jobs = insert(conn, 120)
    tab.go("/ui/jobs")
    assert _ids(tab) == jobs[:-51:-1]
    tab.page.get_by_role("link", name="Older →").click()
    tab.page.wait_for_url("**before=**")
    assert _ids(tab) == jobs[-51:-101:-1]
    insert(conn, 3)  # newer ones move nothing
    tab.page.get_by_role("link", name="Older →").click()
    tab.find(f"#job-{jobs[0]}").wait_for()
    assert _ids(tab) == jobs[-101::-1]
    assert tab.page.get_by_role("link", name="Older →").count() == 0
    tab.page.get_by_role("link", name="← Newer").click()
    tab.page.wait_for_url("**after=**")
    assert _ids(tab) == jobs[-51:-101:-1]
    tab.go("/ui/jobs?sort=oldest")
    assert _ids(tab) == jobs[:50]
    tab.page.get_by_role("link", name="Newer →").click()
    tab.page.wait_for_url("**after=**")
    assert _ids(tab) == jobs[50:100]


def test_the_filter_box_completes(tab: Tab, conn: Conn) -> None:
    insert(conn, queue="mail")
    tab.go("/ui/jobs").page.keyboard.press("/")
    tab.page.keyboard.type("que")
    tab.find("#suggestions [role=option]", has_text="queue:").wait_for()
    tab.page.keyboard.press("ArrowDown")
    tab.page.keyboard.press("Enter")
    tab.find("#suggestions [role=option]", has_text="queue:mail").wait_for()
    assert tab.find("#filter-input").get_attribute("aria-expanded") == "true"
    tab.page.keyboard.press("ArrowDown")
    tab.page.keyboard.press("Enter")
    assert tab.find("#filter-input").input_value() == "queue:mail "
    tab.page.keyboard.press("Enter")
    tab.page.wait_for_url(re.compile("q=queue"))


def test_the_keyboard_is_enough(tab: Tab, conn: Conn) -> None:
    jobs = insert(conn, 3)
    tab.go("/ui/jobs")
    tab.find("#link-state").wait_for()
    press = tab.page.keyboard.press
    for key in ("j", "j", "k", "x", "j", "x"):
        press(key)
    assert tab.text("[data-bulk-some]") == "2 selected"
    assert tab.find("[data-ui-cursor]").get_attribute("id") == f"job-{jobs[1]}"
    press("?")
    tab.find("#help[open]").wait_for()
    press("Escape")
    press("Enter")
    tab.page.wait_for_url(f"**/ui/jobs/{jobs[1]}")
    for key, path in {"q": "/queues", "w": "/workers", "d": "/dead", "j": "/jobs", "o": ""}.items():
        press("g")
        press(key)
        tab.page.wait_for_url(f"**/ui{path}")
        tab.find("#help").wait_for(state="attached")
    press("n")
    tab.find("#dialog[open] h2", has_text="New job").wait_for()


def test_a_selection_outlives_an_update(tab: Tab, conn: Conn) -> None:
    first, second = insert(conn, 2)
    tab.go("/ui/jobs")
    tab.find(f"#job-{first} input").check()
    insert(conn, 1)
    tab.page.evaluate("document.body.dispatchEvent(new CustomEvent('pgq:change'))")
    tab.find("[data-row]").nth(2).wait_for()
    assert tab.find(f"#job-{first} input").is_checked()
    assert not tab.find(f"#job-{second} input").is_checked()


def test_a_selection_is_cancelled_as_an_operation(tab: Tab, conn: Conn) -> None:
    jobs = insert(conn, 5)
    tab.go("/ui/jobs")
    for job in jobs[:3]:
        tab.find(f"#job-{job} input").check()
    dialog = tab.open_dialog("Cancel…")
    assert dialog.locator("#preview").inner_text() == "3 jobs"
    dialog.get_by_role("button", name="Cancel", exact=True).click()
    dialog.locator("#operation").wait_for()
    conn.execute("select pgq.operate()")
    dialog.get_by_text("done", exact=True).first.wait_for()
    assert [state(conn, job) for job in jobs] == ["cancelled"] * 3 + ["ready"] * 2


def test_a_whole_filter_is_retried_as_an_operation(tab: Tab, conn: Conn) -> None:
    mine = [job_in(conn, "dead", queue="mail") for _ in range(4)]
    other = job_in(conn, "dead")
    tab.go("/ui/jobs?q=queue:mail+state:dead")
    dialog = tab.open_dialog("Retry…")
    assert dialog.locator("#preview").inner_text() == "4 jobs"
    dialog.get_by_label("Change in each payload").fill('{"again": true}')
    dialog.get_by_role("button", name="Retry", exact=True).click()
    dialog.locator("#operation").wait_for()
    conn.execute("select pgq.operate()")
    dialog.get_by_text("done", exact=True).first.wait_for()
    assert [state(conn, job) for job in mine] == ["ready"] * 4
    assert state(conn, other) == "dead"
    payload = conn.execute("select payload::text from pgq.get_payload(%s)", [mine[0]]).fetchone()
    assert payload
    assert json.loads(str(payload[0])) == {"again": True}


def test_a_search_inside_payloads_says_how_far_it_looked(tab: Tab, conn: Conn) -> None:
    (oldest,) = insert(conn, payload='{"needle": "here"}')
    conn.execute("insert into pgq.job (task) select 'hay' from generate_series(1, 100010)")
    tab.go("/ui/jobs?q=payload.needle:here")
    assert "stopped: a search has a budget" in tab.text("#budget")
    assert _ids(tab) == []
    for _ in range(50):  # as far as its time allows on this machine
        if _ids(tab) == [oldest]:
            return
        tab.page.get_by_role("link", name="Look further").click()
        tab.page.wait_for_load_state()
    raise AssertionError("it was not found")
