"""Dockerfile, docker-compose.yml and what they install, as far as no engine is needed to tell."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import servers
from containers import images
from containers.engine import CHECKOUT
from containers.lock import FOLDER, locked
from pgq.config import Settings

COMPOSE: dict[str, Any] = yaml.safe_load((CHECKOUT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
each_service = pytest.mark.parametrize("name", SERVICES)


def seconds(duration: str) -> int:
    """Of a duration as Compose writes it: 30s, 1m."""
    number, unit = int(duration[:-1]), duration[-1]
    return number * {"s": 1, "m": 60}[unit]


@each_service
def test_service_has_few_rights(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "cap_add" not in service
    assert "privileged" not in service


@each_service
def test_ports_are_bound_to_loopback(name: str) -> None:
    for port in SERVICES[name].get("ports", []):
        assert re.fullmatch(r"127\.0\.0\.1:\$\{[A-Z]+_PORT:-\d+\}:\d+", port), port


def test_postgres_has_no_port() -> None:
    assert "ports" not in SERVICES["postgres"]


def test_workers_can_be_many() -> None:
    assert not {"container_name", "hostname", "ports"} & set(SERVICES["worker"])


@pytest.mark.parametrize("name", ["server", "worker"])
def test_stop_may_take_longer_than_the_grace_period(name: str) -> None:
    grace = getattr(Settings(), name).grace
    assert seconds(SERVICES[name]["stop_grace_period"]) > grace + 10
    assert SERVICES[name]["init"] is True


@each_service
def test_secrets_are_those_of_env_or_one_that_says_what_it_is(name: str) -> None:
    for variable, value in SERVICES[name].get("environment", {}).items():
        if "PASSWORD" in variable:
            assert re.fullmatch(r"\$\{\w+_PASSWORD:-insecure-default\}", value), variable


def test_what_ends_is_waited_for_by_what_stays() -> None:
    # Else `docker compose up --wait` fails when it ends.
    for name in SERVICES:
        if "restart" in SERVICES[name]:
            continue
        waiting = [s["depends_on"] for s in SERVICES.values() if name in s.get("depends_on", {})]
        assert waiting
        assert all(w[name] == {"condition": "service_completed_successfully"} for w in waiting)


def test_images_have_versions() -> None:
    named = {service["image"] for service in SERVICES.values()} - {"pgq"}
    bases = set(re.findall(r"^FROM (\S+)", (CHECKOUT / "Dockerfile").read_text(), re.MULTILINE))
    assert all(re.search(r":v?\d", image) for image in named | bases)
    assert named | bases == set(images.DOCKERFILES)
    assert servers.IMAGE in named


@pytest.mark.parametrize(
    ("wanted", "file"),
    [
        (PROJECT["project"]["dependencies"], "requirements.txt"),
        (PROJECT["project"]["optional-dependencies"]["http"], "requirements.txt"),
        (PROJECT["build-system"]["requires"], "build-requirements.txt"),
    ],
    ids=["project", "http", "build"],
)
def test_lock_has_what_the_project_asks_for(wanted: list[str], file: str) -> None:
    found = locked(file)
    for requirement in map(Requirement, wanted):
        (pin,) = found[str(canonicalize_name(requirement.name))].specifier
        assert pin.operator == "=="
        assert requirement.specifier.contains(pin.version), requirement


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.txt")), ids=lambda path: path.stem)
def test_lock_has_hashes_and_no_addresses(path: Path) -> None:
    text = path.read_text()
    assert "://" not in text
    for entry in re.split(r"\n(?=[a-z])", text):
        assert "--hash=sha256:" in entry, entry


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is needed")
def test_promtool_takes_the_configuration(tmp_path: Path) -> None:
    shutil.copy(CHECKOUT / "deploy/compose/prometheus.yml", tmp_path)
    shutil.copytree(CHECKOUT / "prometheus", tmp_path / "pgq")
    (tmp_path / "tokens").mkdir()
    (tmp_path / "tokens/prometheus").write_text("secret")
    done = subprocess.run(
        ["promtool", "check", "config", str(tmp_path / "prometheus.yml")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rules = sorted(path.name for path in (CHECKOUT / "prometheus").glob("*.rules.yml"))
    assert done.stdout.count(" rules found") == len(rules)


@pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("setpriv"), reason="root is needed, to give rights away"
)
def test_engine_of_the_tests_names_the_rights_that_it_lacks() -> None:
    script = "from containers.engine import rights; print(rights())"
    done = subprocess.run(
        ["setpriv", "--bounding-set=-sys_admin", sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "withholds CAP_SYS_ADMIN" in done.stdout
