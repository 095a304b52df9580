"""What can be done from the dashboard, each through its dialog."""

from __future__ import annotations

import json
from typing import Any

from browsing import Tab
from scenes import leased
from serving import Service

from sql.states import job_in
from sql.support import Conn, answer, call, column, insert, register, row, state, value


def _content(conn: Conn, job: int) -> Any:
    return json.loads(value(conn, "select payload::text from pgq.get_payload(%s)", [job]))


def _press(tab: Tab, button: str, confirm: str) -> None:
    dialog = tab.open_dialog(button)
    dialog.get_by_role("button", name=confirm, exact=True).click()


def test_a_waiting_job_is_cancelled(tab: Tab, conn: Conn) -> None:
    (job,) = insert(conn)
    _press(tab.go(f"/ui/jobs/{job}"), "Cancel…", "Cancel")
    tab.see("cancelled", ".job-title")
    assert state(conn, job) == "cancelled"
    tab.see(f"Job {job} is cancelled.", "#toasts")


def test_a_running_job_is_told_to_stop(tab: Tab, conn: Conn) -> None:
    lease = leased(conn, task="long")
    _press(tab.go(f"/ui/jobs/{lease['id']}"), "Cancel…", "Cancel")
    tab.see("cancellation requested", ".job-title")
    assert state(conn, lease["id"]) == "running"


def test_a_dead_job_is_retried(tab: Tab, conn: Conn) -> None:
    job = job_in(conn, "dead")
    _press(tab.go(f"/ui/jobs/{job}"), "Retry…", "Retry")
    tab.see("ready", ".job-title")
    assert state(conn, job) == "ready"


def test_a_scheduled_job_runs_now(tab: Tab, conn: Conn) -> None:
    job = job_in(conn, "scheduled")
    _press(tab.go(f"/ui/jobs/{job}"), "Run now…", "Run now")
    tab.see("ready", ".job-title")
    assert state(conn, job) == "ready"


def test_an_edit_keeps_what_was_masked(tab: Tab, conn: Conn) -> None:
    (job,) = insert(conn, payload='{"to": "a", "password": "canary", "n": 1.50}', priority="5")
    dialog = tab.go(f"/ui/jobs/{job}").open_dialog("Edit…")
    payload = dialog.get_by_label("Payload")
    assert "canary" not in payload.input_value()
    payload.fill(payload.input_value().replace('"a"', '"b"'))
    dialog.get_by_label("Priority").fill("2")
    dialog.get_by_role("button", name="Edit", exact=True).click()
    tab.see(f"Job {job} is changed.", "#toasts")
    assert _content(conn, job) == {"to": "b", "password": "canary", "n": 1.5}
    text = value(conn, "select payload::text from pgq.get_payload(%s)", [job])
    assert "1.50" in text
    assert row(conn, "select priority from pgq.get_job(%s)", [job])["priority"] == 2


def test_a_duplicate_with_changes_is_a_new_job(tab: Tab, conn: Conn) -> None:
    job = job_in(conn, "succeeded", payload='{"to": "a", "secret": "canary"}')
    dialog = tab.go(f"/ui/jobs/{job}").open_dialog("Duplicate…")
    dialog.get_by_label("Queue").fill("other")
    dialog.get_by_role("button", name="Duplicate", exact=True).click()
    tab.page.wait_for_url(lambda url: "/ui/jobs/" in url and str(job) not in url)
    new = int(tab.page.url.rpartition("/")[2])
    assert _content(conn, new) == {"to": "a", "secret": "canary"}
    assert row(conn, "select queue from pgq.get_job(%s)", [new])["queue"] == "other"


def test_payload_that_is_no_json_is_told_in_the_dialog(tab: Tab, conn: Conn) -> None:
    tab.expect_complaint("422")
    (job,) = insert(conn)
    dialog = tab.go(f"/ui/jobs/{job}").open_dialog("Edit…")
    dialog.get_by_label("Payload").fill("{broken")
    dialog.get_by_role("button", name="Edit", exact=True).click()
    dialog.get_by_text("is no JSON").wait_for()


def test_what_somebody_else_did_first_is_told(tab: Tab, conn: Conn) -> None:
    tab.expect_complaint("409")
    job = job_in(conn, "dead")
    dialog = tab.go(f"/ui/jobs/{job}").open_dialog("Retry…")
    answer(conn, "retry", id=job)
    dialog.get_by_role("button", name="Retry", exact=True).click()
    dialog.get_by_text("is ready").wait_for()


def test_a_queue_is_paused_and_resumed(tab: Tab, conn: Conn) -> None:
    insert(conn, queue="mail")
    _press(tab.go("/ui/queues/mail"), "Pause…", "Pause")
    tab.see("paused", ".job-title")
    assert row(conn, "select paused_at from pgq.get_queue('mail')")["paused_at"]
    _press(tab, "Resume…", "Resume")
    tab.find(".actions", has_text="Pause…").wait_for()
    assert row(conn, "select paused_at from pgq.get_queue('mail')")["paused_at"] is None


def test_settings_of_a_queue_are_changed_and_given_back(tab: Tab, conn: Conn) -> None:
    insert(conn, queue="mail")
    dialog = tab.go("/ui/queues/mail").open_dialog("Settings…")
    dialog.get_by_label("Attempts").fill("9")
    dialog.get_by_label("Timeout").fill("90 s")
    dialog.get_by_role("button", name="Save").click()
    tab.see("its own")
    found = row(conn, "select * from pgq.get_queue('mail')")
    assert (found["max_attempts"], found["timeout"].total_seconds()) == (9, 90)
    dialog = tab.open_dialog("Settings…")
    assert dialog.get_by_label("Timeout").input_value() == "1 min 30 s"
    dialog.get_by_label("Timeout").fill("")
    dialog.get_by_role("button", name="Save").click()
    tab.find("dialog#dialog:not([open])").wait_for(state="attached")
    found = row(conn, "select * from pgq.get_queue('mail')")
    assert found["overridden"] == ["max_attempts"]


def test_a_worker_is_drained(tab: Tab, conn: Conn) -> None:
    worker = register(conn, "default", name="w")
    _press(tab.go("/ui/workers"), "Drain…", "Drain")
    tab.see("takes no more", "#toasts")
    call(conn, "heartbeat", worker=worker, ids=[], tokens=[], busy=0, state="draining")
    tab.go("/ui/workers").see("Take up again…")


def test_a_new_job_is_entered_by_the_fields_of_its_task(tab: Tab, conn: Conn) -> None:
    worker = register(conn, "mail", name="w")
    schema = {
        "type": "object",
        "properties": {
            "to": {"type": "string", "title": "Recipient"},
            "count": {"type": "integer", "default": 3},
            "urgent": {"type": "boolean", "default": False},
            "kind": {"enum": ["plain", "html"], "type": "string", "default": "plain"},
            "extra": {"type": "object"},
        },
        "required": ["to"],
    }
    conn.execute(
        "update pgq.worker set tasks = %s where id = %s", [json.dumps({"send": schema}), worker]
    )
    dialog = tab.go("/ui").open_dialog("New job")
    task = dialog.get_by_label("Task")
    task.fill("send")
    task.blur()
    dialog.get_by_label("Recipient").fill("ada@example.org")
    assert dialog.get_by_label("Queue").input_value() == "mail"
    dialog.get_by_label("Urgent").or_(dialog.get_by_label("urgent")).check()
    dialog.get_by_label("kind").select_option("html")
    dialog.get_by_label("extra").fill('{"n": 1.50}')
    dialog.get_by_role("button", name="Enter job").click()
    tab.see("ready", ".job-title")
    (job,) = column(conn, "select id from pgq.job")
    assert _content(conn, job) == {
        "to": "ada@example.org", "count": 3, "urgent": True, "kind": "html", "extra": {"n": 1.5},
    }  # fmt: skip


def test_a_new_job_is_entered_as_json(tab: Tab, conn: Conn) -> None:
    dialog = tab.go("/ui/jobs").open_dialog("New job")
    dialog.get_by_label("Task").fill("anything")
    dialog.get_by_label("Task").blur()
    dialog.get_by_text("No live worker knows it").wait_for()
    dialog.get_by_label("Payload").fill('[1, 2.50, {"x": null}]')
    dialog.get_by_text("Options").click()
    dialog.get_by_label("Tags").fill("vip eu")
    dialog.get_by_label("Not before").fill("2 h")
    dialog.get_by_role("button", name="Enter job").click()
    tab.see("scheduled", ".job-title")
    found = row(conn, "select id, payload::text as payload, tags from pgq.job")
    assert found["payload"] == '[1, 2.50, {"x": null}]'
    assert found["tags"] == ["vip", "eu"]


def test_another_task_keeps_what_was_filled_in_of_a_new_job(tab: Tab, conn: Conn) -> None:
    dialog = tab.go("/ui/jobs").open_dialog("New job")
    task = dialog.get_by_label("Task")
    task.fill("snd")
    task.blur()
    dialog.locator("#field-task[value=snd]").wait_for()
    dialog.get_by_label("Payload").fill('{"to": "ada"}')
    dialog.get_by_text("Options").click()
    dialog.get_by_label("Tags").fill("vip")
    task.fill("send")
    task.blur()
    dialog.locator("#field-task[value=send]").wait_for()
    dialog.get_by_label("Tags").and_(dialog.locator(":visible")).wait_for()
    dialog.get_by_role("button", name="Enter job").click()
    tab.see("ready", ".job-title")
    found = row(conn, "select task, payload, tags from pgq.job")
    assert found == {"task": "send", "payload": {"to": "ada"}, "tags": ["vip"]}
    dialog = tab.go("/ui/jobs").open_dialog("New job")
    assert dialog.get_by_label("Payload").input_value() == "{}"


def test_five_dead_letters_are_tried_before_the_rest(tab: Tab, conn: Conn) -> None:
    jobs = [job_in(conn, "dead", queue="mail") for _ in range(8)]
    tab.go("/ui/dead").see("Boom")
    dialog = tab.open_dialog("Try 5…")
    assert dialog.locator("#preview").inner_text() == "5 jobs"
    dialog.get_by_role("button", name="Retry", exact=True).click()
    dialog.locator("#operation").wait_for()
    conn.execute("select pgq.operate()")
    dialog.get_by_text("done", exact=True).first.wait_for()
    assert sorted(state(conn, job) or "" for job in jobs) == ["dead"] * 3 + ["ready"] * 5


def test_dialogs_show_the_same_in_sql_curl_cli_and_python(tab: Tab, conn: Conn) -> None:
    job = job_in(conn, "dead")
    dialog = tab.go(f"/ui/jobs/{job}").open_dialog("Retry…")
    dialog.locator(".faces summary").click()
    shown = dialog.locator(".faces").inner_text()
    assert f"select pgq.retry(p_id => {job});" in shown
    assert f"/api/v1/jobs/{job}/retry" in shown
    assert f"pgq job retry {job}" in shown
    assert "connection.execute(" in shown
    conn.execute(dialog.locator(".faces code").first.inner_text().encode())
    assert state(conn, job) == "ready"


def test_actions_work_without_scripts(service: Service, conn: Conn) -> None:
    (job,) = insert(conn)
    client = service.client()
    page = client.get(f"/ui/jobs/{job}/cancel")
    assert f'action="/ui/jobs/{job}/cancel"' in page.text
    done = client.post(f"/ui/jobs/{job}/cancel", headers={"Sec-Fetch-Site": "same-origin"})
    assert (done.status_code, done.headers["location"]) == (303, f"/ui/jobs/{job}")
    assert state(conn, job) == "cancelled"


def test_forms_are_forms(service: Service, conn: Conn) -> None:
    (job,) = insert(conn)
    client = service.client()
    answer = client.post(f"/ui/jobs/{job}/edit", json={"priority": 1})
    assert answer.status_code == 415
    answer = client.post(f"/ui/jobs/{job}/edit", data={"priority": "1", "colour": "red"})
    assert answer.status_code == 422
    assert "body.colour: unknown" in answer.text
    answer = client.post(f"/ui/jobs/{job}/edit", data={"priority": "soon"})
    assert "expected a whole number" in answer.text


def test_an_operation_is_stopped(tab: Tab, conn: Conn) -> None:
    insert(conn, 3)
    id_ = answer(conn, "start_operation", verb="cancel", state="ready", rate=0.001)
    tab.go("/ui/operations").page.get_by_role("button", name="Stop").click()
    tab.see("stopped", "main")
    assert row(conn, "select state from pgq.get_operation(%s)", [id_])["state"] == "stopped"
