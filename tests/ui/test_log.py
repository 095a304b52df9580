"""A job's log, live."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable

from browsing import Tab, Tabs
from scenes import leased
from serving import Service

from sql.support import Conn, answer, call, hold, hold_all


def test_lines_appear_as_they_are_logged(tab: Tab, conn: Conn) -> None:
    lease = leased(conn, task="talk")
    tab.go(f"/ui/jobs/{lease['id']}").find("#link-state[data-ui-link=live]").wait_for()
    for n in range(1, 4):
        answer(conn, "log", **hold(lease), message=f"line {n}", progress=n / 4)
        tab.see(f"line {n}", "#log")
    tab.find("#progress", has_text="75 %").wait_for()


def test_the_log_stops_following_who_scrolls_up(tab: Tab, conn: Conn) -> None:
    lease = leased(conn, task="talk")
    for n in range(1, 101):
        answer(conn, "log", **hold(lease), message=f"line {n}")
    tab.go(f"/ui/jobs/{lease['id']}").find("#link-state[data-ui-link=live]").wait_for()
    bottom = (
        "(log => log.scrollHeight - log.scrollTop - log.clientHeight)"
        "(document.getElementById('log'))"
    )
    assert tab.page.evaluate(bottom) < 2
    answer(conn, "log", **hold(lease), message="followed")
    tab.see("followed", "#log")
    assert tab.page.evaluate(bottom) < 2
    tab.page.evaluate("document.getElementById('log').scrollTop = 100")
    tab.find("[data-follow]").wait_for()
    answer(conn, "log", **hold(lease), message="not followed")
    tab.find("#log .line", has_text="not followed").wait_for(state="attached")
    assert tab.page.evaluate("document.getElementById('log').scrollTop") == 100
    tab.find("[data-follow]").click()
    assert tab.page.evaluate(bottom) < 2
    answer(conn, "log", **hold(lease), message="followed again")
    tab.find("#log .line", has_text="followed again").wait_for(state="attached")
    assert tab.page.evaluate(bottom) < 2


def test_earlier_lines_of_a_long_log_are_a_click_away(tab: Tab, conn: Conn) -> None:
    lease = leased(conn, task="talk")
    call(
        conn,
        "log_many",
        **hold_all(*[lease] * 600),
        messages=[f"line {n}" for n in range(1, 601)],
    )
    tab.go(f"/ui/jobs/{lease['id']}").find("#log [data-n='600']").wait_for()
    assert tab.find("#log [data-n='1']").count() == 0
    tab.find("#log").get_by_text("100 earlier lines").click()
    tab.find("#log [data-n='1']").wait_for(state="attached")
    assert tab.find("#log .line").count() == 600


def test_a_log_is_watched_over_a_restart_of_the_server(
    serve: Callable[..., Service], tabs: Tabs, conn: Conn
) -> None:
    lease = leased(conn, task="talk")
    service = serve()
    tab = tabs.open(service.url)
    tab.expect_complaint(
        "ERR_CONNECTION_REFUSED|ERR_INCOMPLETE|ERR_CONNECTION_RESET|Failed to (load|fetch)"
    )
    tab.go(f"/ui/jobs/{lease['id']}").find("#link-state[data-ui-link=live]").wait_for()
    answer(conn, "log", **hold(lease), message="before")
    tab.see("before", "#log")
    assert service.stop(signal.SIGTERM) == 0
    answer(conn, "log", **hold(lease), message="meanwhile")
    serve("--port", service.url.rpartition(":")[2])
    tab.see("meanwhile", "#log")
    answer(conn, "log", **hold(lease), message="after")
    tab.see("after", "#log")
    texts = tab.find("#log .line .text").all_inner_texts()
    assert texts == ["before", "meanwhile", "after"]


def test_the_page_follows_the_job_to_its_end(tab: Tab, conn: Conn) -> None:
    lease = leased(conn, task="talk")
    tab.go(f"/ui/jobs/{lease['id']}").see("running", ".job-title")
    call(conn, "complete", **hold(lease), result='{"sent": true}')
    tab.see("succeeded", ".job-title")
    tab.see(re.compile("sent"), ".tree >> nth=1")
