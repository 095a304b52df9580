"""The service as a process: starting, health, stopping."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import httpx
import psycopg
import pytest
from serving import Service, problem

import processes
from pgq import schema

Conn = psycopg.Connection[tuple[object, ...]]


def test_health_is_the_process_alone(api: httpx.Client) -> None:
    answer = api.get("/healthz")
    assert answer.status_code == 200
    assert answer.json() == {"status": "ok"}


def test_readiness_tells_the_version_of_the_schema(api: httpx.Client) -> None:
    answer = api.get("/readyz")
    assert answer.json() == {"status": "ready", "schema_version": schema.VERSION}


def test_readiness_fails_when_the_schema_is_gone(api: httpx.Client, conn: Conn) -> None:
    conn.execute("drop schema pgq cascade")
    problem(api.get("/readyz"), 503, "schema-mismatch")
    assert api.get("/healthz").status_code == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_good_order(service: Service, number: signal.Signals) -> None:
    service.client().get("/healthz")
    assert service.stop(number) == 0
    assert "Traceback" not in service.command.output


def test_a_schema_that_is_missing_is_one_line(tmp_path: Path, empty_dsn: str) -> None:
    with processes.running(tmp_path, "server", "--port", "0", DATABASE_URL=empty_dsn) as command:
        assert command.ended() == 4
        assert "pgq migrate" in command.output
        assert "Traceback" not in command.output


def test_a_port_that_is_taken_is_one_line(serve: Callable[..., Service], service: Service) -> None:
    port = service.url.rpartition(":")[2]
    with pytest.raises(
        AssertionError, match=f"cannot listen on 127.0.0.1, port {port}: [A-Z][a-z ]+\n"
    ):
        serve("--port", port)
