"""TLS, with certificates that an authority of the test's own has signed."""

from __future__ import annotations

import json
import ssl
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from serving import Service, serving, token

import processes


@dataclass(frozen=True)
class Identity:
    """An authority, and the server's certificate and key."""

    authority: Path
    certificate: Path
    key: Path

    @property
    def options(self) -> tuple[str, ...]:
        return ("--tls-certificate", str(self.certificate), "--tls-key", str(self.key))

    @property
    def trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.authority)


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    folder = tmp_path_factory.mktemp("tls")
    names = "subjectAltName=DNS:localhost,IP:127.0.0.1"
    _openssl(
        folder, "req", "-x509", "-subj", "/CN=authority", "-keyout", "ca.key", "-out", "ca.pem",
        "-newkey", "rsa:2048", "-nodes", "-days", "2",
    )  # fmt: skip
    _openssl(
        folder, "req", "-subj", "/CN=localhost", "-keyout", "key.pem", "-out", "request.pem",
        "-newkey", "rsa:2048", "-nodes",
    )  # fmt: skip
    (folder / "names").write_text(names)
    _openssl(
        folder, "x509", "-req", "-in", "request.pem", "-CA", "ca.pem", "-CAkey", "ca.key",
        "-CAcreateserial", "-out", "certificate.pem", "-days", "2", "-extfile", "names",
    )  # fmt: skip
    _openssl(folder, "rsa", "-in", "key.pem", "-aes256", "-passout", "pass:x", "-out", "locked.pem")
    return Identity(folder / "ca.pem", folder / "certificate.pem", folder / "key.pem")


def _openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def service(serve: Callable[..., Service], identity: Identity) -> Service:
    return serve(*identity.options, "--require-token")


def test_the_api_speaks_tls_to_those_who_trust_its_authority(
    service: Service, identity: Identity, conn: psycopg.Connection[Any]
) -> None:
    assert service.url.startswith("https://")
    client = service.client(token(conn, "admin"), verify=identity.trust)
    made = client.post("/api/v1/jobs", json={"task": "mail"})
    assert made.status_code == 201
    assert client.get(made.headers["location"]).json()["task"] == "mail"
    with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
        service.client().get("/healthz")
    plain = service.url.replace("https:", "http:")
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{plain}/healthz")


def test_the_dashboards_cookie_is_kept_over_tls(
    service: Service, identity: Identity, conn: psycopg.Connection[Any]
) -> None:
    client = service.client(verify=identity.trust)
    headers = {"Sec-Fetch-Site": "same-origin"}
    secret = token(conn, "view")
    answer = client.post("/ui/login", data={"token": secret}, headers=headers)
    assert answer.status_code == 303
    assert client.cookies.get("__Host-pgq") == secret
    assert client.get("/ui/jobs").status_code == 200
    client.cookies.clear()
    assert "login" in client.get("/ui/jobs").headers["location"]


def test_events_stream_over_tls(
    service: Service, identity: Identity, conn: psycopg.Connection[Any]
) -> None:
    client = service.client(token(conn, "view"), verify=identity.trust)
    with client.stream("GET", "/api/v1/events") as answer:
        lines = answer.iter_lines()
        events = (json.loads(line[6:]) for line in lines if line.startswith("data: "))
        assert "items" in next(events)
        conn.execute("insert into pgq.job (task, queue) values ('mail', 'tls')")
        processes.wait(lambda: any(each["queue"] == "tls" for each in next(events)["items"]))
    assert service.stop() == 0
    assert "Traceback" not in service.command.output


def test_half_of_tls_is_one_line(tmp_path: Path, dsn: str, identity: Identity) -> None:
    said = _refused(tmp_path, dsn, "--tls-key", str(identity.key))
    assert "give both or neither" in said


@pytest.mark.parametrize("wrong", ["swapped", "locked", "another", "empty"])
def test_tls_that_cannot_be_is_one_line(
    tmp_path: Path, dsn: str, identity: Identity, wrong: str
) -> None:
    empty = tmp_path / "empty.pem"
    empty.touch()
    certificate, key = {
        "swapped": (identity.key, identity.certificate),
        "locked": (identity.certificate, identity.key.with_name("locked.pem")),
        "another": (identity.authority, identity.key),
        "empty": (empty, identity.key),
    }[wrong]
    said = _refused(tmp_path, dsn, "--tls-certificate", str(certificate), "--tls-key", str(key))
    assert "make no TLS" in said
    assert "expected a certificate" in said


def _refused(folder: Path, dsn: str, *options: str) -> str:
    with processes.running(folder, "server", "--port", "0", *options, DATABASE_URL=dsn) as command:
        assert command.ended() == 2
        assert command.output.count("\n") == 1, command.output
        return command.output


def test_it_is_said_that_plain_http_is_not_for_the_network(
    dsn: str, conn: psycopg.Connection[Any], tmp_path: Path, identity: Identity
) -> None:
    token(conn, "admin")
    with serving(tmp_path / "plain", dsn, "--host", "0.0.0.0") as service:
        assert "browsers cannot sign in" in service.command.output
        assert "--tls-certificate" in service.command.output
    with serving(tmp_path / "tls", dsn, "--host", "0.0.0.0", *identity.options) as service:
        assert "browsers" not in service.command.output
    with serving(tmp_path / "local", dsn) as service:
        assert "browsers" not in service.command.output
