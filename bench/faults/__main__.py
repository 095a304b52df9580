"""`python -m faults`: rows one at a time, or side by side."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import click

from faults import page, report
from faults.row import NotPlayable, Outcome
from faults.rows import ROWS
from faults.stage import stage
from pgq import config

FELL_SHORT = 1


@click.command()
@click.argument("names", nargs=-1)
@click.option("--full", is_flag=True, help="The full form, with the leases of a new installation.")
@click.option("--seconds", type=click.FloatRange(min=1), help="Of load; instead of the form's own.")
@click.option("--seed", type=int, help="Replays a run; without it one is drawn and told.")
@click.option("--mutant", help="Take away what the row protects: it has to fall short.")
@click.option("--beside", default=4, show_default=True, help="Rows that play at the same time.")
@click.option("-o", "form", type=click.Choice(["text", "json"]), default="text")
@click.option("--record", is_flag=True, help="Enter the figures in docs/reliability.md.")
@click.option("--list", "listed", is_flag=True, help="What rows there are.")
def main(
    names: tuple[str, ...],
    full: bool,
    seconds: float | None,
    seed: int | None,
    mutant: str | None,
    beside: int,
    form: str,
    record: bool,
    listed: bool,
) -> None:
    """Play these rows, or all. The exit status is 1 when one falls short."""
    if listed:
        for row in ROWS.values():
            click.echo(f"{row.name:<4} {row.title:<24} {row.fault} [{', '.join(row.mutants)}]")
        return
    if unknown := [name for name in names if name not in ROWS]:
        raise click.UsageError(f"no row {unknown[0]!r}: there are {', '.join(ROWS)}")
    if mutant and (len(names) != 1 or mutant not in ROWS[names[0]].mutants):
        known = ", ".join(ROWS[names[0]].mutants) if len(names) == 1 else "of one row"
        raise click.UsageError(f"no mutant {mutant!r}: there are {known}")
    if len(names) != 1:
        given = {"--seconds": seconds, "--seed": seed, "-o": form}
        options = [
            *(
                word
                for name, value in given.items()
                if value is not None
                for word in (name, str(value))
            ),
            *(name for name, on in (("--full", full), ("--record", record)) if on),
        ]
        sys.exit(_beside(names or tuple(ROWS), options, beside))
    try:
        outcome = _play(names[0], full, seconds, seed, mutant)
    except NotPlayable as error:
        raise click.ClickException(f"{names[0]} cannot be played here: {error}") from None
    click.echo(report.text(outcome) if form == "text" else json.dumps(report.document(outcome)))
    if record and not mutant:
        page.record(outcome)
    sys.exit(FELL_SHORT if outcome.short_of() else 0)


def _play(
    name: str, full: bool, seconds: float | None, seed: int | None, mutant: str | None
) -> Outcome:
    row = ROWS[name]
    outcome = Outcome(
        row,
        seed=random.randrange(2**32) if seed is None else seed,
        seconds=seconds or (row.full if full else row.short),
        is_full=full,
        mutant=mutant,
    )
    with stage(outcome, settings=row.settings, bin_dir=config.load().postgres_bin) as play:
        row.play(play)
    return outcome


def _beside(names: tuple[str, ...], options: list[str], beside: int) -> int:
    """Each in a process of its own, and told of when it ends: last those that fell short. 1 if any
    did."""

    def play(name: str) -> str:
        begun = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "faults", name, *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        told = f"{done.stdout.rstrip()} in {time.monotonic() - begun:.0f} s\n"
        if done.returncode:
            return told
        click.echo(told)
        return ""

    with ThreadPoolExecutor(beside) as pool:
        short = {
            name: told for name, told in zip(names, pool.map(play, names), strict=True) if told
        }
    for told in short.values():
        click.echo(told)
    click.echo(f"fell short: {', '.join(short)}" if short else f"all {len(names)} rows held")
    return FELL_SHORT if short else 0


if __name__ == "__main__":
    main()
