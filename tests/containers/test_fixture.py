"""The server that tests get where there is Docker: through testcontainers, in a container."""

from __future__ import annotations

import psycopg
import pytest

import servers
from containers.engine import Engine
from pgq import schema
from sql.support import insert, state


def test_suite_finds_its_server_in_a_container(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PGQ_TEST_DSN", "PGQ_TEST_POSTGRES_BIN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_HOST", engine.environment["DOCKER_HOST"])
    # Its own container that cleans up is not to be had here, and the engine forwards nothing.
    monkeypatch.setenv("TESTCONTAINERS_RYUK_DISABLED", "true")
    monkeypatch.setenv("TESTCONTAINERS_CONNECTION_MODE", "docker_host")
    with servers.any_server() as server:
        assert servers.IMAGE in engine.tell("docker", "ps", "--format={{.Image}}")
        with servers.database(server, "pgq_in_a_container") as dsn:
            schema.migrate(dsn)
            with psycopg.connect(dsn, autocommit=True) as conn:
                where = conn.execute("show data_directory").fetchone()
                assert where == ("/var/lib/postgresql/18/docker",)
                (job,) = insert(conn)
                assert state(conn, job) == "ready"
    assert engine.tell("docker", "ps", "--quiet", f"--filter=ancestor={servers.IMAGE}") == ""
