"""`/metrics`: the cluster as Prometheus reads it."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from prometheus_client import Metric, parser
from prometheus_client.openmetrics import parser as openmetrics
from serving import Hall, Service, bury, claim, enqueue, problem, token

import pgq
from pgq_server import metrics

Key = tuple[str, frozenset[tuple[str, str]]]

NEWER = {"Accept": "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"}


@pytest.fixture(scope="module")
def busy(hall: Hall) -> Hall:
    """A service on whose queues something has happened."""
    for _ in range(3):
        enqueue(hall.conn, queue='the "mail"')
    ((job, secret),) = claim(hall.conn, 'the "mail"')
    hall.conn.execute("select pgq.complete(%s, %s)", [job, secret])
    bury(hall.conn, job + 1, 'the "mail"')
    return hall


def keys(families: Iterable[Metric]) -> set[Key]:
    return {
        (sample.name, frozenset(sample.labels.items()))
        for family in families
        for sample in family.samples
    }


def test_old_and_new_format_and_sql_tell_the_same(busy: Hall) -> None:
    old = busy.api.get("/metrics")
    new = busy.api.get("/metrics", headers=NEWER)
    assert old.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert new.headers["content-type"] == (
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    )
    row = busy.conn.execute("select pgq.openmetrics()").fetchone()
    assert row
    by_sql = list(openmetrics.text_string_to_metric_families(row[0]))
    by_http = list(openmetrics.text_string_to_metric_families(new.text))
    assert [(f.name, f.type, f.documentation) for f in by_http] == [
        (f.name, f.type, f.documentation) for f in by_sql
    ]
    assert keys(by_http) == keys(by_sql)
    assert keys(parser.text_string_to_metric_families(old.text)) == keys(by_sql)


def test_jobs_are_told(busy: Hall) -> None:
    lines = busy.api.get("/metrics").text.splitlines()
    name = 'queue="the \\"mail\\""'
    assert f'pgq_jobs{{{name},state="ready"}} 1.0' in lines
    assert f'pgq_jobs{{{name},state="dead"}} 1.0' in lines
    assert f'pgq_jobs_finished_total{{outcome="succeeded",{name}}} 1.0' in lines
    assert f"pgq_job_run_seconds_count{{{name}}} 2.0" in lines


def test_jobs_made_over_http_are_counted_as_such(hall: Hall) -> None:
    hall.api.post("/api/v1/jobs", json={"task": "mail", "queue": "web"}).raise_for_status()
    line = 'pgq_jobs_enqueued_total{queue="web",source="http"} 1.0'
    assert line in hall.api.get("/metrics").text.splitlines()


def test_any_server_tells_the_same(serve: Callable[..., Service], conn: Any) -> None:
    enqueue(conn)
    one, two = (serve().client().get("/metrics").text for _ in range(2))
    same = re.compile(r"^pgq_job.*$", re.MULTILINE)
    assert same.findall(one) == same.findall(two) != []


def test_viewers_may_read_it(guarded: Hall) -> None:
    problem(guarded.service.client().get("/metrics"), 401, "unauthenticated")
    allowed = {
        "view": 200,
        "operate": 200,
        "admin": 200,
        "enqueue": 403,
        "work": 403,
    }
    for scope, status in allowed.items():
        client = guarded.service.client(token(guarded.conn, scope))
        assert client.get("/metrics").status_code == status, scope


def test_token_for_some_queues_reads_nothing_of_the_others(guarded: Hall) -> None:
    client = guarded.service.client(token(guarded.conn, "view", queues=["mail"]))
    problem(client.get("/metrics"), 403, "forbidden")


def test_database_that_does_not_answer_is_a_problem(
    service: Service, conn: psycopg.Connection[Any]
) -> None:
    api = service.client()
    assert api.get("/metrics").status_code == 200
    conn.execute("alter function pgq.metrics rename to gone")
    answer: httpx.Response = api.get("/metrics")
    problem(answer, 503, "schema-mismatch")


def test_promtool_finds_nothing(busy: Hall, tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed")
    checked = subprocess.run(
        [promtool, "check", "metrics"],
        input=busy.api.get("/metrics").text,
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert checked.stdout + checked.stderr == ""


def test_the_reference_is_what_the_database_says(conn: psycopg.Connection[Any]) -> None:
    page = Path(pgq.__file__).parent.parent / "docs" / "metrics.md"
    assert page.read_text() == metrics.reference(metrics.fetch(conn)), "run `make reference`"
