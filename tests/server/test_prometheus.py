"""A real Prometheus that scrapes a real server and a real worker: every panel shows something."""

from __future__ import annotations

import math
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import yaml
from serving import Hall

import pgq
import pooler
import processes
from dashboards import filled, targets

RULES = Path(pgq.__file__).parent.parent / "prometheus"
WINDOW = "15s"


class Prometheus:
    """A client of it."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def get(self, path: str, **parameters: str) -> Any:
        """What its API answers."""
        answered = self._client.get(f"/api/v1/{path}", params=parameters).json()
        assert answered["status"] == "success", answered
        return answered["data"]

    def __call__(self, query: str) -> list[float]:
        """The values of all series."""
        return [float(series["value"][1]) for series in self.get("query", query=query)["result"]]


class Load:
    """Jobs of all kinds, as long as it runs."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        with psycopg.connect(self._dsn, autocommit=True) as session:
            while not self._ended.wait(0.1):
                session.execute(
                    "insert into pgq.job (task, payload, max_attempts, backoff_base) values"
                    " ('echo', '{}', 5, '0'), ('fail', '{\"seconds\": 0}', 2, '0')"
                )


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


@pytest.fixture(scope="module")
def ask(hall: Hall, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus that has scraped for a while."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("prometheus is not installed")
    folder = tmp_path_factory.mktemp("prometheus")
    port, worker_port = free_port(), free_port()
    config = yaml.safe_load((RULES / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(path) for path in RULES.glob("*.rules.yml")]
    of_servers, of_workers = config["scrape_configs"]
    of_servers["static_configs"] = [{"targets": [hall.service.url.removeprefix("http://")]}]
    of_workers["static_configs"] = [{"targets": [f"127.0.0.1:{worker_port}"]}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    with ExitStack() as stack:
        stack.enter_context(
            processes.running(
                folder,
                *("worker", "-a", "pgq_examples.tasks:app", "--metrics-port", str(worker_port)),
                DATABASE_URL=pooler.through(hall.dsn),
            )
        )
        stack.enter_context(Load(hall.dsn))
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [
                    program,
                    f"--config.file={folder / 'prometheus.yml'}",
                    f"--storage.tsdb.path={folder / 'data'}",
                    f"--web.listen-address=127.0.0.1:{port}",
                ],
                stdout=log,
                stderr=log,
            )
        stack.callback(process.wait)
        stack.callback(process.kill)
        client = stack.enter_context(httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30))

        ask = Prometheus(client)

        def is_ready() -> bool:
            try:
                client.get("/-/ready").raise_for_status()
            except httpx.HTTPError:
                return False
            return bool(ask(f"rate(pgq_worker_process_task_seconds_count[{WINDOW}]) > 0"))

        processes.wait(is_ready)
        yield ask


EXPRESSIONS = [
    *targets("expr"),
    *(
        (rule["record"], rule["record"])
        for group in yaml.safe_load((RULES / "recording.rules.yml").read_text())["groups"]
        for rule in group["rules"]
    ),
]


@pytest.mark.parametrize("panel", EXPRESSIONS, ids=[place for place, _ in EXPRESSIONS])
def test_every_expression_returns_data(ask: Prometheus, panel: tuple[str, str]) -> None:
    _, expression = panel
    query = filled(expression, window=WINDOW)
    processes.wait(lambda: [value for value in ask(query) if not math.isnan(value)])


def test_both_kinds_of_targets_are_scraped(ask: Prometheus) -> None:
    processes.wait(lambda: sorted(ask("up")) == [1, 1])


def test_rules_are_evaluated_without_an_error(ask: Prometheus) -> None:
    def health() -> list[str]:
        groups = ask.get("rules")["groups"]
        return [rule["health"] for group in groups for rule in group["rules"]]

    processes.wait(lambda: set(health()) == {"ok"})


def test_no_alert_fires_without_a_fault(ask: Prometheus) -> None:
    firing = [each["labels"]["alertname"] for each in ask.get("alerts")["alerts"]]
    # These jobs do fail, and at once.
    assert set(firing) <= {"PgqDeadLettersGrowing", "PgqFailureRatioHigh", "PgqRetryStorm"}


def test_jobs_are_counted_once_over_all_ways(hall: Hall, ask: Prometheus) -> None:
    """What Prometheus has seen is never more than what there is."""
    seen = sum(ask('sum(pgq_jobs_finished_total{outcome="succeeded"})'))
    row = hall.conn.execute("select sum(succeeded) from pgq.list_queues()").fetchone()
    assert row
    assert 0 < seen <= row[0]


def test_scrapes_are_told_how_long_they_took(ask: Prometheus) -> None:
    assert all(seconds > 0 for seconds in ask("pgq_collect_seconds"))
