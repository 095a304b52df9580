"""Databases worth looking at."""

from __future__ import annotations

import json
import math
from typing import Any

from sql.states import job_in
from sql.support import Conn, answer, call, claim_one, hold, insert, register

TRACEBACK = """Traceback (most recent call last):
  File "/srv/shop/mail.py", line 41, in send_welcome
    smtp.sendmail(sender, to, message)
  File "/usr/lib/python3.11/smtplib.py", line 901, in sendmail
    raise SMTPServerDisconnected("Connection unexpectedly closed")
smtplib.SMTPServerDisconnected: Connection unexpectedly closed
"""
_LIVES = (">ready", "ready>running", "running>succeeded")
SCHEMA = {
    "type": "object",
    "properties": {
        "to": {"type": "string", "title": "To"},
        "language": {"enum": ["en", "de", "fr"], "default": "en", "title": "Language"},
        "copies": {"type": "integer", "default": 1, "title": "Copies"},
        "with_invoice": {"type": "boolean", "default": False, "title": "With invoice"},
    },
    "required": ["to"],
}
FAILURES = (
    ("psycopg.errors.UniqueViolation", 'duplicate key value violates "invoice_number_key"', 2),
    ("TimeoutError", "no answer from images.example.org within 30 s", 3),
    ("ValueError", "no such account: 1193", 1),
)
PAYLOAD = {"to": "ada@example.org", "user": {"id": 42, "plan": "pro"}, "api_key": "sk-canary-1"}


def shop(conn: Conn) -> dict[str, int]:
    """Queues, workers and jobs of a shop; ids of some of the jobs."""
    worker = register(conn, "mail", "images", slots=8, name="web-1:4120")
    register(conn, "images", slots=4, name="web-2:977")
    conn.execute(
        "update pgq.worker set tasks = %s where id = %s",
        [json.dumps({"mail.welcome": SCHEMA}), worker],
    )
    # They outlive a test that takes its time.
    conn.execute("update pgq.worker set expires_at = expires_at + interval '1 hour'")
    found: dict[str, int] = {}
    for state in ("scheduled", "succeeded", "cancelled", "dead", "retrying"):
        for task, queue in (("mail.welcome", "mail"), ("resize", "images")):
            found[state] = job_in(
                conn, state, task=task, queue=queue, payload=json.dumps(PAYLOAD), tags=["vip"]
            )
    for number in range(7):
        (job,) = insert(conn, task="billing.charge", queue="mail", payload=json.dumps(PAYLOAD))
        lease = claim_one(conn, worker=worker, queues=["mail"])
        assert lease["id"] == job
        call(
            conn,
            "fail",
            **hold(lease),
            error_class="smtplib.SMTPServerDisconnected",
            message=f"Connection unexpectedly closed after {number} s",
            traceback=TRACEBACK,
            permanent=True,
            ran_seconds=1.5,
        )
        found["failed"] = job
    for kind, message, times in FAILURES:
        for _ in range(times):
            insert(conn, task="orders.export", queue="mail")
            lease = claim_one(conn, worker=worker, queues=["mail"])
            call(
                conn,
                "fail",
                **hold(lease),
                error_class=kind,
                message=message,
                permanent=True,
                ran_seconds=0.2,
            )
    (job,) = insert(conn, task="reports.monthly", queue="mail", payload=json.dumps(PAYLOAD))
    lease = claim_one(conn, worker=worker, queues=["mail"])
    for number in range(1, 31):
        answer(conn, "log", **hold(lease), message=f"page {number}", progress=number / 40)
    found["running"] = job
    insert(conn, 30, task="mail.welcome", queue="mail", payload=json.dumps(PAYLOAD))
    insert(conn, 12, task="import", queue="imports", payload=json.dumps(PAYLOAD))
    found["ready"] = insert(conn, task="resize", queue="images", payload=json.dumps(PAYLOAD))[0]
    conn.execute("select pgq.pause('images')")
    for verb in ("settle", "fold", "sample"):
        conn.execute(f"select pgq.{verb}()".encode())
    return found


def leased(conn: Conn, **columns: Any) -> dict[str, Any]:
    """A job that runs, held by the test."""
    (job,) = insert(conn, **columns)
    worker = register(conn, columns.get("queue", "default"), name="held")
    lease = claim_one(conn, worker=worker, queues=[columns.get("queue", "default")])
    assert lease["id"] == job
    return lease


def history(conn: Conn) -> None:
    """Two busy hours before now, as far as counters and samples tell."""
    minutes, totals = 125, {"succeeded": 0, "failed": 0, "dead": 0}
    metrics = {
        "succeeded": ("finished", "succeeded"),
        "failed": ("failed", "error"),
        "dead": ("dead", "error"),
    }
    rows = []
    for minute in range(minutes, 0, -1):
        wave = 1 + 0.35 * math.sin(minute / 9) + 0.15 * math.sin(minute / 2)
        is_trouble = 34 < minute < 46
        totals["succeeded"] += round(840 * wave)
        totals["failed"] += round(6 * wave * (9 if is_trouble else 1))
        totals["dead"] += is_trouble and minute % 2
        for name, (metric, label) in metrics.items():
            rows.append([minute, metric, label, totals[name]])
    with conn.transaction():
        conn.execute("delete from pgq.sample")
        conn.cursor().executemany(
            "insert into pgq.sample (at, metric, label, n) "
            "values (now() - %s * interval '1 minute', %s, %s, %s)",
            rows,
        )
    counters = [("transition", label, 1.005 * totals["succeeded"]) for label in _LIVES]
    counters += [("attempt", "error", totals["failed"]), ("dead", "error", totals["dead"])]
    for metric, label, n in counters:
        conn.execute(
            "insert into pgq.counter (queue, metric, label, n, sum) values ('mail', %s, %s, %s, 0)",
            [metric, label, round(n)],
        )
    _age(conn, "job", "id", 97, "created_at")
    _age(conn, "dead", "job_id", 211, "died_at")
    _age(conn, "attempt", "job_id", 211, "claimed_at", "started_at", "ended_at")


def _age(conn: Conn, table: str, key: str, seconds: int, *columns: str) -> None:
    """Move rows back, the older ones further."""
    moved = ", ".join(f"{each} = {each} - o.n * interval '{seconds} seconds'" for each in columns)
    conn.execute(
        f"update pgq.{table} t set {moved} from (select {key}, row_number() over "
        f"(order by {key} desc) as n from pgq.{table}) o where o.{key} = t.{key}".encode()
    )
