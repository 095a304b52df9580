"""`pgq bench`: every figure is measured, and says what it is compared with."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import processes
import servers
from pgq.postgres import Postgres
from pgq_bench.figures import Figure, Round, compared, percentile
from pgq_bench.history import Sights
from pgq_bench.steps import STEPS, pages
from pgq_server.routes import TABLE


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="pgq-bench-") as name:
        yield Path(name)


def test_every_step_measures_on_a_server_of_its_own(folder: Path) -> None:
    named = servers.own_binaries()
    environment = {"PGQ_POSTGRES_BIN": str(named)} if named else {}
    arguments = ["bench", "--jobs", "1000", "--rounds", "1", "-o", "json"]
    with processes.running(folder, *arguments, **environment) as bench:
        assert bench.ended(280) == 0, bench.output
        processes.wait(lambda: not bench.family())
        report = json.loads(bench.output)
    assert report["facts"]["fsync"] == "on"
    assert report["facts"]["jobs"] == "1000"
    assert {figure["step"] for figure in report["figures"]} == set(STEPS)
    for figure in report["figures"]:
        assert figure["value"] > 0, figure
        if figure["raw"] is not None:
            assert figure["ratio"] == pytest.approx(figure["value"] / figure["raw"]), figure
        assert (figure["target"] is None) == (figure["reached"] is None), figure


def test_a_server_that_is_not_durable_is_not_measured(
    folder: Path, private_server: Postgres
) -> None:
    with processes.running(folder, "bench", "--dsn", private_server.dsn) as bench:
        assert bench.ended() == 2
        assert "not durable" in bench.output
        assert "Traceback" not in bench.output


def test_a_ratio_reaches_its_target_from_there_on() -> None:
    def reached(ratio: float) -> bool | None:
        return Figure(step="s", name="n", value=1, unit="u", ratio=ratio, least_ratio=0.9).reached

    assert [reached(0.89), reached(0.9), reached(1.5)] == [False, True, True]


def test_a_value_reaches_its_target_below_it() -> None:
    def reached(value: float) -> bool | None:
        return Figure(step="s", name="n", value=value, unit="ms", most=5).reached

    assert [reached(4.9), reached(5.0), reached(6.0)] == [True, False, False]


def test_a_figure_without_a_target_has_no_verdict() -> None:
    assert Figure(step="s", name="n", value=1, unit="u", ratio=0.1).reached is None


def test_ratios_are_of_the_same_round() -> None:
    figure = compared([Round(1, 2), Round(30, 20), Round(5, 5)], step="s", name="n", unit="u")
    assert (figure.value, figure.raw, figure.ratio) == (5, 5, 1.0)


def test_percentiles_are_values_that_were_measured() -> None:
    values = [float(n) for n in range(100, 0, -1)]
    assert [percentile(values, share) for share in (0.5, 0.95, 0.99, 1.0)] == [50, 95, 99, 100]
    assert percentile([7.0], 0.5) == 7.0


def test_every_page_and_every_answer_that_reads_is_measured() -> None:
    asked = {question.route.path for question in pages.questions(SIGHTS)}
    readable = {
        route.path
        for route in TABLE
        if route.method == "GET"
        and route.path != "/"
        and route.media not in ("text/event-stream", "application/octet-stream")
    }
    assert asked == readable
    assert pages.PLAIN.keys() | pages.SEARCHES.keys() | pages.INSIDE.keys() <= readable


def test_a_page_is_as_slow_as_the_slowest_of_its_questions() -> None:
    found = [question for question in pages.questions(SIGHTS) if question.route.path == "/ui"]
    took = {question: [10.0 * n] * 3 for n, question in enumerate(found, 1)}
    median, late = pages.figures(took)
    assert (median.value, median.most, late.most) == (10.0 * len(found), 100, 300)
    assert found[-1].words in median.name


SIGHTS = Sights(jobs={"old": 1, "running": 2}, queue="mail", worker=1, operation=1, fingerprint="0")
