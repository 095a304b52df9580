"""An engine, the image and the stack of docker-compose.yml, each made once.

They need root and Debian's packages, and take minutes; asked for by PGQ_TEST_CONTAINERS, as .ci/run
does.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from containers import images
from containers.engine import Engine, Steps

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Nobody makes images who did not ask for it; the first test of all waits for them."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.timeout(1200))
            if "PGQ_TEST_CONTAINERS" not in os.environ:
                item.add_marker(pytest.mark.skip(reason="only where it is asked for"))


@pytest.fixture(scope="session")
def steps() -> Steps:
    return Steps()


@pytest.fixture(scope="session")
def engine(steps: Steps) -> Iterator[Engine]:
    """It has stand-ins for the images that our files begin with."""
    made = Engine()
    try:
        steps.done("an engine")
        images.tree()
        steps.done("a small Debian for the stand-ins")
        images.make(made)
        steps.done("the stand-ins")
        yield made
    finally:
        made.close()
        steps.done("the tests, and the engine's end")


@pytest.fixture(scope="session")
def image(engine: Engine, steps: Steps) -> str:
    """Our image, made of the Dockerfile as it stands."""
    engine.tell("docker", "build", "--network=host", "--tag=pgq", ".")
    steps.done("the image")
    return "pgq"
