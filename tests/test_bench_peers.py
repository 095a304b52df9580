"""The comparison with other queues: what was not run exactly once counts for nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from peers.report import BEGIN, END, Begun, Report
from peers.results import Results, Void
from peers.tally import Counts
from peers.targets import judge
from pgq.errors import PgqError

SERVER = {"server_version": "15.0", "fsync": "on", "synchronous_commit": "on"}


def run(counts: Counts, *jobs: int, sent: float = 0.0) -> None:
    """A worker process that runs these jobs."""
    code = (
        "import sys; from peers.tally import Tally; t = Tally(sys.argv[1], int(sys.argv[2]))\n"
        "for n in sys.argv[4:]: t.ran(int(n), float(sys.argv[3]))"
    )
    arguments = [str(counts.folder), str(counts.jobs), str(sent), *map(str, jobs)]
    subprocess.run([sys.executable, "-c", code, *arguments], check=True)


@pytest.fixture
def counts(tmp_path: Path) -> Counts:
    return Counts(tmp_path / "tally", 5)


def test_jobs_that_each_ran_once_in_any_process_are_no_problem(counts: Counts) -> None:
    run(counts, 0, 3, 4)
    run(counts, 2, 1)
    assert counts.runs() == 5
    assert len(counts.pids()) == 2
    assert counts.problem() is None


def test_a_job_that_did_not_run_is_found(counts: Counts) -> None:
    run(counts, 0, 1, 2, 3)
    assert counts.problem() == "1 of 5 jobs did not run"
    assert counts.problem(all_ran=False) is None


def test_a_job_that_ran_in_two_processes_is_found_among_as_many_runs_as_jobs(
    counts: Counts,
) -> None:
    run(counts, 0, 1, 2)
    run(counts, 2, 3)
    assert counts.runs() == 5
    assert counts.problem() == "1 of 5 jobs ran more than once"
    assert counts.problem(all_ran=False) is not None


def test_waits_are_those_of_jobs_that_told_when_they_were_sent(counts: Counts) -> None:
    run(counts, 0, 1)
    assert counts.waits() == []
    run(counts, 2, 3, sent=1e-9)
    assert len(counts.waits()) == 2


def test_a_void_measurement_takes_its_row_away() -> None:
    results = Results()
    results.add("a", "drain_1", 9.0, "jobs/s")
    results.add("b", "drain_1", 8.0, "jobs/s")
    with results.guard("a", "drain_1"):
        raise Void("1 of 5 jobs did not run")
    assert results.rows() == [{"system": "b", "work": "drain_1", "value": 8.0, "unit": "jobs/s"}]
    assert results.value("a", "drain_1") is None
    assert results.void_rows() == [
        {"system": "a", "work": "drain_1", "reason": "1 of 5 jobs did not run"}
    ]


def test_a_system_that_fails_is_void_and_the_run_goes_on() -> None:
    results = Results()
    with results.guard("a", "drain_1", "memory"):
        raise PgqError("nothing moved")
    assert {row["work"] for row in results.void_rows()} == {"drain_1", "memory"}


def test_rounds_become_their_median() -> None:
    results = Results()
    for value in (1.0, 30.0, 5.0):
        results.add("a", "drain_1", value, "jobs/s")
    assert results.value("a", "drain_1") == 5.0


def test_a_target_is_judged_by_the_best_rival_that_is_not_void() -> None:
    results = Results()
    results.add("pgq", "enqueue_16", 4000.0, "jobs/s")
    results.add("pgqueuer", "enqueue_16", 2000.0, "jobs/s")
    results.add("procrastinate", "enqueue_16", 3000.0, "jobs/s")
    assert judge(results, {}) == [["enqueue_16 over best rival", "1.33", "≥ 2", "**missed**"]]
    results.void["procrastinate", "enqueue_16"] = "jobs were lost"
    assert judge(results, {}) == [["enqueue_16 over best rival", "2.00", "≥ 2", "reached"]]


def test_a_target_over_something_that_was_not_measured_is_not_judged() -> None:
    results = Results()
    results.add("pgq", "drain_4", 4000.0, "jobs/s")
    assert judge(results, {}) == []


def test_publishing_replaces_the_comparison_and_nothing_else(tmp_path: Path) -> None:
    page = tmp_path / "benchmarks.md"
    page.write_text(f"# Benchmarks\n\nbefore\n\n{BEGIN}\nold\n{END}\n\nafter\n")
    report = Report(Begun("quick"), SERVER, {}, {}, Results(), [])
    report.publish(tmp_path, lambda path: path.write_bytes(b""))
    text = page.read_text()
    assert text.startswith("# Benchmarks\n\nbefore\n")
    assert text.endswith("\nafter\n")
    assert "old" not in text
    assert "make bench-peers-quick" in text
