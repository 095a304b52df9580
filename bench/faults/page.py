"""The table of `docs/reliability.md`: each row's figures as they were last measured."""

from __future__ import annotations

import fcntl
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from faults.report import number
from faults.row import Outcome
from peers import machine

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
BEGIN, END = "<!-- rows -->", "<!-- end of rows -->"
HEAD = "| row | fault | figures | verdict | measured |\n|---|---|---|---|---|\n"


def record(outcome: Outcome) -> None:
    """Put a row's line into the table, in place of an older one."""
    with PAGE.open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        before, _, rest = file.read().partition(BEGIN)
        table, _, after = rest.partition(END)
        lines = dict(re.findall(r"^(\| (R\d+) .*)$", table, re.MULTILINE))
        lines = {name: line for line, name in lines.items()}
        lines[outcome.row.name] = _line(outcome)
        ordered = sorted(lines.items(), key=lambda item: int(item[0][1:]))
        body = "\n".join(line for _, line in ordered)
        file.seek(0)
        file.truncate()
        file.write(f"{before}{BEGIN}\n{HEAD}{body}\n{END}{after}")


def _line(outcome: Outcome) -> str:
    form = "full" if outcome.is_full else "short"
    zeros = [f.name for f in outcome.figures if f.value == f.most == 0]
    others = [
        f"{figure.name} {number(figure)}" + (f" ({figure.target})" if figure.target else "")
        for figure in outcome.figures
        if figure.name not in zeros
    ]
    figures = "; ".join([*others, f"0 {', '.join(zeros)}"] if zeros else others)
    verdict = "held" if not outcome.short_of() else "**fell short**"
    when = (
        f"{form} form, {outcome.seconds:g} s, seed {outcome.seed}; {datetime.now(UTC):%Y-%m-%d}, "
        f"commit {_commit()}; {machine.describe()}"
    )
    row = outcome.row
    return f"| {row.name} {row.title} | {row.fault} | {figures} | {verdict} | {when} |"


def _commit() -> str:
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=PAGE.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or "unknown"
