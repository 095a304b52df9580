"""Every page, in both themes and on a phone."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from browsing import DESK, PHONE, Tab, Tabs, Theme
from scenes import shop
from serving import Service

from sql.states import job_in
from sql.support import Conn, insert, register, running

PAGES = {
    "overview": "/ui",
    "jobs": "/ui/jobs",
    "job": "/ui/jobs/{failed}",
    "job-running": "/ui/jobs/{running}",
    "queues": "/ui/queues",
    "queue": "/ui/queues/mail",
    "workers": "/ui/workers",
    "dead-letters": "/ui/dead",
    "operations": "/ui/operations",
    "new-job": "/ui/new",
    "action": "/ui/jobs/{dead}/duplicate",
    "bulk-action": "/ui/operations/new?verb=retry&q=queue:mail",
    "login": "/ui/login",
}


def _opened(tab: Tab, page: str, jobs: dict[str, int]) -> None:
    tab.go(PAGES[page].format(**jobs))
    tab.find("main h1, main h2").first.wait_for()
    if tab.find("#chart").count():
        tab.find("#chart canvas").wait_for(state="attached")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_pages_can_be_used_by_everyone(
    tabs: Tabs, service: Service, conn: Conn, theme: Theme
) -> None:
    jobs = shop(conn)
    tab = tabs.open(service.url, theme=theme)
    found = []
    for page in PAGES:
        _opened(tab, page, jobs)
        found += [f"{page}: {each}" for each in tab.axe()]
    assert not found, "\n".join(found)


def test_pages_fit_a_phone(tabs: Tabs, service: Service, conn: Conn) -> None:
    jobs = shop(conn)
    tab = tabs.open(service.url, size=PHONE)
    for page in PAGES:
        _opened(tab, page, jobs)
        assert not tab.is_too_wide(), page
        if here := tab.find(".nav [aria-current]").all():
            box = here[0].bounding_box()
            assert box, page
            assert box["x"] >= 0, page
            assert box["x"] + box["width"] <= PHONE[0], page


@pytest.mark.parametrize("size", [DESK, PHONE])
def test_long_names_fit(tabs: Tabs, service: Service, conn: Conn, size: tuple[int, int]) -> None:
    names = {"task": "task_with_a_long_name" * 6, "queue": "queue-with-a-long-name" * 6}
    job = job_in(conn, "dead", **names, tags=["tag-with-a-long-name" * 6])
    tab = tabs.open(service.url, size=size)
    for page in (*PAGES, "queue-long"):
        path = PAGES.get(page, f"/ui/queues/{names['queue']}")
        if page not in ("queue", "job-running"):
            tab.go(path.format(failed=job, dead=job)).find("main h1, main h2").first.wait_for()
            assert not tab.is_too_wide(), page


def test_overview_tells_slots_that_are_busy_from_jobs_that_are_held(tab: Tab, conn: Conn) -> None:
    register(conn, slots=1)
    running(conn)
    running(conn)
    tab.go("/ui").see("0 of 1 slot busy")
    assert tab.text("#figure-running") == "2"


def test_the_first_minute_has_figures(tab: Tab, conn: Conn) -> None:
    job_in(conn, "dead")
    job_in(conn, "retrying")
    job_in(conn, "succeeded")
    tab.go("/ui")
    assert tab.text("#figure-failed") == "2"
    assert tab.text("#figure-succeeded") == "1"
    assert tab.text("#figure-dead") == "1"
    tab.see("A sample is taken once a minute")


def test_a_new_job_is_a_key_away_on_every_page(tabs: Tabs, service: Service, conn: Conn) -> None:
    jobs = shop(conn)
    tab = tabs.open(service.url)
    for page in ("job", "queues", "queue", "workers", "dead-letters", "operations"):
        tab.go(PAGES[page].format(**jobs)).find("#link-state[data-ui-link=live]").wait_for()
        tab.page.keyboard.press("n")
        tab.find("#dialog[open] h2", has_text="New job").wait_for()
        assert tab.page.evaluate("document.activeElement.name") == "task"


def test_only_pages_that_are_live_say_whether_they_are(tab: Tab, conn: Conn) -> None:
    jobs = shop(conn)
    for page in PAGES:
        _opened(tab, page, jobs)
        is_live = page not in ("new-job", "action", "bulk-action", "login")
        assert tab.find("#link-state").count() == is_live, page
        if is_live:
            tab.find("#link-state[data-ui-link=live]").wait_for()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_api_docs_have_the_theme_of_the_dashboard(
    tabs: Tabs, service: Service, theme: Theme
) -> None:
    other = {"light": "dark", "dark": "light"}[theme]
    tab = tabs.open(service.url, theme=theme)
    dark = "document.documentElement.classList.contains('dark-mode')"
    for wanted in (theme, other):
        tab.go("/docs").find(".opblock-tag").first.wait_for(timeout=60_000)
        assert tab.page.evaluate(dark) == (wanted == "dark")
        paper = tab.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (paper == "rgb(28, 32, 34)") == (wanted == "dark"), paper
        tab.go("/ui").page.get_by_role("button", name="Light or dark").click()


def test_empty_pages_say_what_to_do(tab: Tab) -> None:
    for path in ("/ui", "/ui/jobs", "/ui/queues"):
        tab.go(path)
        tab.see("insert into pgq.job")
    tab.go("/ui/workers").see("pgq worker -a")
    tab.go("/ui/dead").see("No dead letters")
    tab.go("/ui/operations").see("No operation of late")


def test_a_page_that_is_not_there_is_a_page(tab: Tab) -> None:
    tab.expect_complaint("404")
    tab.go("/ui/jobs/1").see("There is no such thing")


def test_an_update_moves_nothing(tab: Tab, conn: Conn) -> None:
    shop(conn)
    tab.go("/ui/jobs")
    tab.page.evaluate(
        "new PerformanceObserver(list => { for (const each of list.getEntries()) "
        "window.moved = (window.moved ?? 0) + each.value; })"
        ".observe({ type: 'layout-shift', buffered: false })"
    )
    with tab.page.expect_response(lambda answer: answer.url.endswith("/ui/jobs")):
        tab.page.evaluate("document.body.dispatchEvent(new CustomEvent('pgq:change'))")
    tab.page.wait_for_timeout(300)
    assert tab.page.evaluate("window.moved ?? 0") < 0.01


def test_the_banner_names_queues_that_nobody_takes(tab: Tab, conn: Conn) -> None:
    shop(conn)
    tab.go("/ui").see("No live worker takes queue")
    assert "imports" in tab.text("#banners")
    assert "images" not in tab.text("#banners")  # paused: nobody is missed


def test_a_tab_has_one_stream_of_events(tab: Tab, conn: Conn) -> None:
    jobs = shop(conn)
    for page in PAGES:
        tab.requests.clear()
        _opened(tab, page, jobs)
        tab.page.wait_for_timeout(300)
        streams = [
            each.url for each in tab.requests if re.search(r"/events$|/logs/stream", each.url)
        ]
        assert len(streams) <= 1, streams


def test_a_page_outlives_a_restart_of_the_server(
    serve: Callable[..., Service], tabs: Tabs, conn: Conn
) -> None:
    insert(conn, 1)
    service = serve()
    tab = tabs.open(service.url)
    tab.expect_complaint("ERR_|Failed to load|htmx")
    tab.go("/ui/jobs").find("#link-state[data-ui-link=live]").wait_for()
    assert service.stop() == 0
    tab.find("#link-state[data-ui-link=lost]").wait_for()
    insert(conn, 1)
    serve("--port", service.url.rpartition(":")[2])
    tab.find("[data-row]").nth(1).wait_for()
    tab.find("#link-state[data-ui-link=live]").wait_for()


def test_a_page_stays_when_the_database_is_in_trouble(tab: Tab, conn: Conn) -> None:
    tab.expect_complaint("503|ERR_")
    insert(conn, 1)
    tab.go("/ui/jobs").find("#link-state[data-ui-link=live]").wait_for()
    conn.execute("drop schema pgq cascade")
    tab.page.evaluate("document.body.dispatchEvent(new CustomEvent('pgq:change'))")
    tab.find("#link-state[data-ui-link=lost]").wait_for()
    assert tab.find("[data-row]").count() == 1
    tab.go("/ui/queues").see("another version of the schema")


def test_the_theme_is_kept(tab: Tab) -> None:
    tab.go("/ui").page.get_by_role("button", name="Light or dark").click()
    dark = "getComputedStyle(document.body).colorScheme"
    assert tab.page.evaluate(dark) == "dark"
    tab.go("/ui/jobs")
    assert tab.page.evaluate(dark) == "dark"
