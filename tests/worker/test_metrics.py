"""A worker's own metrics, asked of a real worker."""

from __future__ import annotations

import os
import re
import signal
import urllib.request
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families

import pgq
from pgq_worker import metrics
from pgq_worker.measures import BOUNDS, OTHER, TASKS, Measures, total
from pgq_worker.outcomes import DECLINED, NOTHING, Failed
from support import Jobs, Worker, until

Start = Callable[..., Worker]
Conn = psycopg.Connection[object]
Samples = dict[tuple[str, ...], float]


def scrape(worker: Worker) -> Samples:
    """All samples: by name, then the values of their labels in the order of the names."""
    until(lambda: worker.said("metrics are at "))
    (url,) = re.findall(r"metrics are at (http://\S+?/metrics)", worker.log.read_text())
    with urllib.request.urlopen(url, timeout=10) as answer:
        text = answer.read().decode()
    return {
        (
            sample.name.removeprefix(metrics.PREFIX),
            *map(sample.labels.get, sorted(sample.labels)),
        ): (sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.fixture
def measured(start: Start) -> Worker:
    return start("--metrics-port", "0", "-c", "7")


def test_worker_tells_what_it_has_and_does(measured: Worker, jobs: Jobs) -> None:
    until(lambda: scrape(measured)["registered",])
    found = scrape(measured)
    assert (found["slots",], found["busy_slots",], found["children",]) == (7, 0, 1)
    assert found["draining",] == 0
    assert found["heartbeat_age_seconds",] < 30
    assert abs(found["clock_skew_seconds",]) < 5
    assert found["process_resident_memory_bytes",] > 1e6


def test_handlers_are_told_by_task_and_result(measured: Worker, jobs: Jobs) -> None:
    for _ in range(3):
        jobs.wait(jobs.add("echo", '{"value": 1}'), "succeeded")
    jobs.wait(jobs.add("fail_for_good"), "dead")
    count = "task_seconds_count"
    until(lambda: scrape(measured).get((count, "succeeded", "echo")) == 3)
    found = until(lambda: {k: v for k, v in scrape(measured).items() if "fail_for_good" in k})
    assert found[count, "failed", "fail_for_good"] == 1
    assert found["task_seconds_bucket", "+Inf", "failed", "fail_for_good"] == 1


def test_claims_are_told_by_what_they_brought(measured: Worker, jobs: Jobs) -> None:
    jobs.wait(jobs.add("echo", '{"value": 1}'), "succeeded")
    until(lambda: scrape(measured).get(("claim_seconds_count", "jobs")))
    until(lambda: scrape(measured).get(("claim_seconds_count", "nothing")))


def test_counts_outlive_the_child_that_counted(measured: Worker, jobs: Jobs) -> None:
    jobs.wait(jobs.add("echo", '{"value": 1}'), "succeeded")
    key = ("task_seconds_count", "succeeded", "echo")
    until(lambda: scrape(measured).get(key) == 1)
    (child,) = measured.children()
    os.kill(child, signal.SIGKILL)
    until(lambda: scrape(measured)["child_deaths_total",] == 1)
    assert scrape(measured)[key] == 1


def test_connections_that_were_opened_again_are_counted(
    measured: Worker, jobs: Jobs, conn: Conn
) -> None:
    until(lambda: scrape(measured)["registered",])
    jobs.wait(jobs.add("echo", '{"value": 1}'), "succeeded")
    assert scrape(measured)["connections_total",] == 0
    conn.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where application_name like 'pgq claims of %'"
    )
    until(lambda: scrape(measured)["connections_total",] >= 1)


def test_worker_that_drains_says_so(measured: Worker, conn: Conn) -> None:
    until(lambda: scrape(measured)["registered",])
    conn.execute("select pgq.drain(id) from pgq.list_workers() where state <> 'offline'")
    until(lambda: scrape(measured)["draining",])


def test_worker_listens_nowhere_unless_told(start: Start, jobs: Jobs) -> None:
    worker = start()
    jobs.wait(jobs.add("echo", '{"value": 1}'), "succeeded")
    assert not worker.said("metrics are at")


def test_port_that_is_taken_is_one_line(measured: Worker, start: Start) -> None:
    until(lambda: measured.said("metrics are at "))
    (port,) = re.findall(r"metrics are at http://[^:]+:(\d+)/", measured.log.read_text())
    second = start("--metrics-port", port)
    until(lambda: second.said("cannot serve metrics on 127.0.0.1, port"))
    assert second.process.wait(30) == 2
    assert not second.said("Traceback")


def test_every_family_has_samples_and_is_in_the_reference(measured: Worker, jobs: Jobs) -> None:
    jobs.wait(jobs.add("echo", '{"value": 1}'), "succeeded")
    until(lambda: scrape(measured).get(("task_seconds_count", "succeeded", "echo")))
    names = {re.sub("_(bucket|count|sum)$", "", key[0]) for key in scrape(measured)}
    assert {name for name in names if not name.startswith("process_")} == set(metrics.FAMILIES)
    page = Path(pgq.__file__).parent.parent / "docs" / "worker-metrics.md"
    assert page.read_text() == metrics.reference(), "run `make reference`"


# Counting


def test_counts_of_many_add_up() -> None:
    one, two = Measures(), Measures(connections=2)
    one.ran("a", NOTHING, 0.002)
    two.ran("a", NOTHING, 1000)
    two.ran("a", Failed("E", "no"), 0.002)
    two.ran("b", DECLINED, 0.5)
    two.claimed("jobs", 0.0001)
    both = total([one, Measures.load(two.dump())])
    assert both.connections == 2
    assert both.tasks["a", "succeeded"].counts[-1] == 1
    assert sum(both.tasks["a", "succeeded"].counts) == 2
    assert both.tasks["a", "succeeded"].seconds == pytest.approx(1000.002)
    assert set(both.tasks) == {("a", "succeeded"), ("a", "failed"), ("b", "stopped")}
    assert both.claims["jobs"].counts[0] == 1


def test_what_takes_as_long_as_a_bound_is_below_it() -> None:
    measures = Measures()
    for bound in BOUNDS:
        measures.ran("a", NOTHING, bound)
    assert measures.tasks["a", "succeeded"].counts == [*[1] * len(BOUNDS), 0]


def test_tasks_beyond_the_cap_are_added_up() -> None:
    measures = Measures()
    for n in range(TASKS + 5):
        for _ in range(2):
            measures.ran(f"t{n}", NOTHING, 0.1)
            measures.ran(f"t{n}", Failed("E", "no"), 0.1)
    names = {name for name, _ in measures.tasks}
    assert len(names) == TASKS + 1
    assert sum(measures.tasks[OTHER, "succeeded"].counts) == 10
    merged = total([measures, measures])
    assert {name for name, _ in merged.tasks} == names
