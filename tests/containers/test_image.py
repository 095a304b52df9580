"""What the image promises to whoever runs it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from packaging.utils import canonicalize_name

from containers.engine import Engine
from containers.lock import locked
from traces.receiver import receiving

CONFINED = (
    "--rm", "--network=none", "--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges",
)  # fmt: skip
LARGEST = 90_000_000
"""Bytes on top of the base image."""


def inspected(engine: Engine, name: str) -> Any:
    return json.loads(engine.tell("docker", "image", "inspect", name))[0]


def python(engine: Engine, image: str, script: str) -> str:
    """What a script says in the image's environment."""
    return engine.tell("docker", "run", *CONFINED, "--entrypoint=python", image, "-c", script)


def test_user_is_not_root(engine: Engine, image: str) -> None:
    assert inspected(engine, image)["Config"]["User"] == "10001:10001"
    told = engine.tell("docker", "run", *CONFINED, "--entrypoint=id", image, "--user", "--name")
    assert told == "pgq"


def test_command_line_runs_where_nothing_can_be_written(engine: Engine, image: str) -> None:
    told = engine.tell("docker", "run", *CONFINED, image, "--help")
    assert "worker" in told


def test_nothing_is_compiled_at_a_start(engine: Engine, image: str) -> None:
    script = (
        "import os, sys, pgq.cli;"
        "caches = [getattr(m, '__cached__', None) for m in sys.modules.values()];"
        "print([cache for cache in caches if cache and not os.path.exists(cache)])"
    )
    assert python(engine, image, script) == "[]"


@pytest.mark.parametrize("program", ["/opt/pgq/bin/pip", "/build"])
def test_what_only_the_build_needs_is_gone(engine: Engine, image: str, program: str) -> None:
    engine.fails("docker", "run", *CONFINED, "--entrypoint=ls", image, program)


def test_packages_are_those_of_the_lock(engine: Engine, image: str) -> None:
    script = (
        "from importlib.metadata import distributions as found;"
        "print(*(d.name for d in found(path=[__import__('site').getsitepackages()[0]])))"
    )
    told = python(engine, image, script)
    installed = {str(canonicalize_name(each)) for each in told.split()}
    assert installed - {"pgq-service"} == {
        name for name, each in locked().items() if not each.marker or each.marker.evaluate()
    }
    assert "pgq-service" in installed


def test_it_sends_spans_where_its_environment_says(engine: Engine, image: str) -> None:
    script = (
        "from pgq import otlp; otlp.configure('shop', '1'); from opentelemetry import trace;"
        "trace.get_tracer('shop').start_span('of the image').end(); otlp.flush()"
    )
    with receiving() as receiver:
        words = [f"--env={name}={value}" for name, value in receiver.environment.items()]
        confined = [word for word in CONFINED if word != "--network=none"]
        engine.tell(
            "docker", "run", *confined, "--network=host", *words,
            "--entrypoint=python", image, "-c", script,
        )  # fmt: skip
        receiver.named(None, "of the image")


def test_image_is_small(engine: Engine, image: str) -> None:
    added = inspected(engine, image)["Size"] - inspected(engine, "python:3.13-slim")["Size"]
    print(f"{added / 1e6:.0f} MB on top of the base image")
    assert added < LARGEST


def test_container_that_runs_neither_server_nor_worker_is_not_well(
    engine: Engine, image: str
) -> None:
    check = inspected(engine, image)["Config"]["Healthcheck"]["Test"]
    assert check[0] == "CMD"
    said = engine.fails("docker", "run", *CONFINED, f"--entrypoint={check[1]}", image, *check[2:])
    assert "neither a server nor a worker answers" in said


def test_mistake_in_the_settings_is_one_line(engine: Engine, image: str) -> None:
    said = engine.fails(
        "docker", "run", *CONFINED, "--env=PGQ_WORKER_PROCESSES=none", image, "worker"
    )
    assert "PGQ_WORKER_PROCESSES is 'none'" in said
    assert said.count("\n") == 1
