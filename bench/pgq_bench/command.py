"""`pgq bench`."""

from __future__ import annotations

import json
import os
import platform
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import click

from pgq.cli import options
from pgq.cli import output as out
from pgq.errors import ConfigError
from pgq_bench.bench import Bench
from pgq_bench.figures import Figure
from pgq_bench.raw import Pgbench
from pgq_bench.server import Server
from pgq_bench.steps import STEPS

COLUMNS = ["step", "figure", "value", "against", "ratio", "target", "verdict"]


@click.command()
@options.dsn
@click.option(
    "--only", multiple=True, type=click.Choice(list(STEPS)), help="One step; may be repeated."
)
@click.option(
    "--jobs",
    type=click.IntRange(min=1000),
    default=100_000,
    show_default=True,
    help="Size of a drain; everything else scales with it.",
)
@click.option(
    "--rounds",
    type=click.IntRange(min=1),
    default=5,
    show_default=True,
    help="Repetitions, of which the medians are shown.",
)
@out.option
def bench(only: tuple[str, ...], jobs: int, rounds: int, output: out.Format) -> None:
    """Measure the queue beside what raw SQL does on the same server in the same run.

    It uses databases made for it on the server of --dsn or DATABASE_URL, else a throw-away Postgres
    with durable commits. A target that is missed is told in the table; it is no error.
    """
    settings = options.load()
    named = settings.database_url
    pgbench = Pgbench(settings.postgres_bin)
    figures: list[Figure] = []
    with Server(named, bin_dir=settings.postgres_bin) as server:
        facts = {**_machine(), **server.facts(), "jobs": str(jobs), "rounds": str(rounds)}
        if facts["fsync"] != "on" or facts["synchronous_commit"] == "off":
            raise ConfigError(
                "the server's commits are not durable (fsync, synchronous_commit), and figures of "
                "such a one mean nothing: turn both on, or name no server to measure one of ours"
            )
        run = Bench(server=server, pgbench=pgbench, jobs=jobs, rounds=rounds, say=_say)
        for name, step in STEPS.items():
            if not only or name in only:
                figures += step(run)
    facts["load_after"] = _load()
    _say("")
    if output == "json":
        document = {"facts": facts, "figures": [figure.document() for figure in figures]}
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
        return
    click.echo(" · ".join(f"{name} {value}" for name, value in facts.items()))
    out.write([figure.row() for figure in figures], COLUMNS, output=output)


def _say(text: str) -> None:
    if sys.stderr.isatty():
        click.echo(f"\r\x1b[K{text}", err=True, nl=False)


def _machine() -> dict[str, str]:
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "cpus": f"{os.cpu_count()} × {_processor()}",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "pgq": metadata.version("pgq-service"),
        "load_before": _load(),
    }


def _load() -> str:
    # Of the last minute: what else the machine does flatters some ratios and spoils others.
    return f"{os.getloadavg()[0]:.1f}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
