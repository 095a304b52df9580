"""`pgq doctor`: what ails the queue, and what mends it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import click

import pgq.doctor
from pgq import cli
from pgq.cli import options
from pgq.cli import output as out
from pgq.doctor import WORST, Check, Diagnosis, Patient

_EXIT_CODES = {
    "ok": cli.OK, "unknown": cli.WARNING, "warning": cli.WARNING, "critical": cli.CRITICAL
}  # fmt: skip
_COLORS = {"ok": "green", "unknown": "cyan", "warning": "yellow", "critical": "red"}
_COLUMNS = ("check", "verdict", "figure", "warning", "critical", "evidence", "mend", "about")


@click.command()
@click.argument("names", nargs=-1, metavar="[CHECK]...")
@click.option("--skip", multiple=True, metavar="CHECK", help="Leave this one out; repeat for more.")
@click.option("-v", "--verbose", is_flag=True, help="Show what is in order as well.")
@options.dsn
@out.option
@click.pass_context
def doctor(
    ctx: click.Context,
    names: tuple[str, ...],
    skip: tuple[str, ...],
    verbose: bool,
    output: out.Format,
) -> None:
    """Examine the queue: the database, its schema, workers and work.

    Changes nothing. Tells of each thing that is wrong the evidence and the command that mends it.
    All checks are made, or those that are named. docs/doctor.md describes them.

    \b
    Exit code, by the worst:
      0  all is in order
      7  something to look at (warning), or that could not be looked at (unknown)
      8  something that stops or endangers work (critical)
    """
    known = pgq.doctor.checks()
    for name in (*names, *skip):
        if name not in known:
            raise click.UsageError(f"there is no check {name!r}; there are {', '.join(known)}")

    def wanted(check: Check) -> bool:
        return (not names or check.name in names) and check.name not in skip

    patient = Patient(options.load())
    found: list[Diagnosis] = []
    try:
        for diagnosis in pgq.doctor.examine(patient, wanted):
            is_news = verbose or _is_news(diagnosis, found)
            found.append(diagnosis)
            if output == "table" and is_news:
                _show(diagnosis)
    finally:
        patient.close()
    if output == "json":
        out.write([_row(each) for each in found], _COLUMNS, output=output)
    else:
        click.echo(_summary(found))
    ctx.exit(max((_EXIT_CODES[each.verdict] for each in found), default=cli.OK))


def _is_news(diagnosis: Diagnosis, told: Sequence[Diagnosis]) -> bool:
    if diagnosis.verdict == "unknown":
        return all(each.evidence != diagnosis.evidence for each in told)
    return diagnosis.verdict != "ok"


def _show(diagnosis: Diagnosis) -> None:
    verdict = click.style(diagnosis.verdict.ljust(8), fg=_COLORS[diagnosis.verdict])
    click.echo(f"{verdict}  {diagnosis.check.name}: {out.shown(diagnosis.evidence)}")
    if diagnosis.mend:
        click.echo(f"{' ' * 10}{out.shown(diagnosis.mend)}")


def _summary(found: Sequence[Diagnosis]) -> str:
    counts = Counter(each.verdict for each in found)
    return ", ".join(f"{counts[verdict]} {verdict}" for verdict in WORST if counts[verdict])


def _row(diagnosis: Diagnosis) -> out.Row:
    return {
        "check": diagnosis.check.name,
        "verdict": diagnosis.verdict,
        "figure": diagnosis.figure,
        "warning": diagnosis.check.warning,
        "critical": diagnosis.check.critical,
        "evidence": diagnosis.evidence,
        "mend": diagnosis.mend,
        "about": diagnosis.check.about,
    }
