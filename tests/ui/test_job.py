"""The page of one job."""

from __future__ import annotations

import json

from browsing import Tab
from scenes import leased, shop

from sql.states import job_in
from sql.support import Conn, answer, call, claim_one, hold, insert


def test_it_says_why_a_job_does_not_run(tab: Tab, conn: Conn) -> None:
    (job,) = insert(conn, queue="mail")
    conn.execute("select pgq.pause('mail')")
    tab.go(f"/ui/jobs/{job}").see("Why it is not running")
    assert "queue_paused" in tab.text("#explain")
    assert "no_worker" in tab.text("#explain")


def test_it_shows_attempts_with_their_tracebacks(tab: Tab, conn: Conn) -> None:
    jobs = shop(conn)
    tab.go(f"/ui/jobs/{jobs['failed']}").see("Traceback")
    assert "smtplib.SMTPServerDisconnected" in tab.text(".attempts")
    assert "send_welcome" in tab.text(".traceback")
    assert tab.text("#timeline").startswith("Died")


def test_secrets_do_not_reach_the_browser(tab: Tab, conn: Conn) -> None:
    payload = {
        "user": {"password": "canary-1", "apiKey": {"deep": "canary-2"}},
        "list": [{"auth_token": "canary-3"}],
        "note": "seen",
    }
    (job,) = insert(conn, payload=json.dumps(payload), headers='{"Authorization": "canary-4"}')
    lease = leased(conn, task="x", queue="other")
    call(conn, "complete", **hold(lease), result='{"secret_key": "canary-5"}')
    for path in (f"/ui/jobs/{job}", f"/ui/jobs/{job}/edit", f"/ui/jobs/{lease['id']}"):
        assert "canary" not in tab.go(path).page.content()
    assert "seen" in tab.go(f"/ui/jobs/{job}").text(".tree")


def test_numbers_are_shown_as_they_were_sent(tab: Tab, conn: Conn) -> None:
    (job,) = insert(conn, payload='{"n": 12345678901234567890.1234567890, "big": 1e5000}')
    assert "12345678901234567890.1234567890" in tab.go(f"/ui/jobs/{job}").text(".tree")
    assert "1e5000" in tab.text(".tree")


def test_a_payload_nested_beyond_reason_is_a_page_too(tab: Tab, conn: Conn) -> None:
    (job,) = insert(conn, payload="[" * 5000 + "]" * 5000)
    tab.go(f"/ui/jobs/{job}").see("not shown: it is nested too deeply")


def test_what_was_unfolded_stays_so(tab: Tab, conn: Conn) -> None:
    job = job_in(conn, "scheduled", payload=json.dumps({"a": {"b": {"c": {"d": 1}}}}))
    tab.go(f"/ui/jobs/{job}")
    inner = tab.find(".tree details").nth(3)
    inner.locator("summary").first.click()
    opened = tab.find(".tree details[open]").count()
    tab.update()
    assert tab.find(".tree details[open]").count() == opened


def test_a_job_that_never_ran_is_due_and_not_tried_again(tab: Tab, conn: Conn) -> None:
    job = job_in(conn, "scheduled")
    tab.go(f"/ui/jobs/{job}").see("Due", "#timeline")
    assert "Next try" not in tab.text("#timeline")
    assert "attempt" not in tab.text("#timeline")
    tab.go(f"/ui/jobs/{job_in(conn, 'retrying')}").see("Next try", "#timeline")


def test_a_job_that_is_retried_elsewhere_is_followed_again(tab: Tab, conn: Conn) -> None:
    job = job_in(conn, "dead")
    tab.go(f"/ui/jobs/{job}").find("#link-state[data-ui-link=live]").wait_for()
    answer(conn, "retry", id=job)
    tab.page.evaluate("document.body.dispatchEvent(new CustomEvent('pgq:change'))")
    tab.see("ready", ".job-title")
    lease = claim_one(conn)
    answer(conn, "log", **hold(lease), message="on it again")
    tab.see("on it again", "#log")
