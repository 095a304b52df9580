"""`python -m faults`: each row bites, that is, falls short with a mutant of what it protects."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BENCH = Path(__file__).parent.parent / "bench"
sys.path.insert(0, str(BENCH))

from faults.row import Figure, Outcome, Row  # noqa: E402
from faults.rows import ROWS  # noqa: E402

SEED = 3


def play(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "faults", *arguments],
        env=os.environ,
        cwd=BENCH,
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )


def outcome(seed: int = SEED) -> Outcome:
    row = Row("R0", "nothing", fault="none", play=lambda _: None, short=1, full=2)
    return Outcome(row, seed=seed, seconds=1, is_full=False)


@pytest.mark.parametrize(
    ("name", "mutant"), [(row.name, mutant) for row in ROWS.values() for mutant in row.mutants]
)
def test_row_falls_short_without_what_it_protects(name: str, mutant: str) -> None:
    row = ROWS[name]
    seconds = f"--seconds={row.brief or row.short}"
    done = play(name, seconds, f"--seed={SEED}", f"--mutant={mutant}", "-o", "json")
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stdout, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    short = [figure["name"] for figure in document["figures"] if not figure["holds"]]
    assert row.mutants[mutant] in short, "\n".join([*short, *document["evidence"]])


def test_a_row_that_nobody_knows_is_named() -> None:
    done = play("R0")
    assert done.returncode == 2
    assert "no row 'R0'" in done.stderr


def test_times_decide_in_the_full_form_only() -> None:
    run = outcome()
    run.figures.append(Figure("waited", 2, most=1, is_time=True))
    assert not run.short_of()
    run.is_full = True
    assert [figure.name for figure in run.short_of()] == ["waited"]


def test_counts_decide_always() -> None:
    run = outcome()
    run.figures.append(Figure("lost", 1, most=0))
    assert [figure.name for figure in run.short_of()] == ["lost"]
