"""`python -m peers`: `make bench-peers` and `make bench-peers-quick`."""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path

import click

from peers import alone, limits, pins, report, works
from peers.cluster import Cluster, cluster
from peers.install import install
from peers.ours import KEPT, UNFINISHED, Ours
from peers.results import Results
from peers.rivals import rivals
from peers.system import System
from peers.works import Run, Sizes
from pgq import config
from pgq_bench.raw import Pgbench

ROOT = Path(__file__).parents[2]
FULL = Sizes(
    seconds=5,
    rounds=3,
    latencies=500,
    pinned=180,
    rival_pinned=60,
    backlog=10_000_000,
    slowest_payload=0,
)
QUICK = Sizes(
    seconds=1.8,
    rounds=1,
    latencies=150,
    pinned=19,
    rival_pinned=0,
    backlog=1_000_000,
    slowest_payload=5_000,
)
TINY = Sizes(
    seconds=0.2,
    rounds=1,
    latencies=20,
    pinned=1,
    rival_pinned=1,
    backlog=40_000,
    slowest_payload=5_000,
)

_BEGUN = time.monotonic()
Part = Callable[[Run, System], None]
EVERYBODY: dict[str, Part] = {
    "enqueue": works.enqueueing,
    "drain_1": lambda run, system: works.draining(run, system, 1),
    "drain_4": lambda run, system: works.draining(run, system, 4),
    "latency": works.latency,
    "payload_10k": lambda run, system: works.payload(run, system, 10),
    "payload_100k": lambda run, system: works.payload(run, system, 100),
}


@click.command()
@click.option("--quick", "size", flag_value="quick", help="Within 8 minutes.")
@click.option("--tiny", "size", flag_value="tiny", help="Whether it works; figures mean nothing.")
@click.option("--system", "systems", multiple=True, help="Only this one; may be repeated.")
@click.option("--part", "parts", multiple=True, help="Only this measurement; may be repeated.")
@click.option("--out", type=click.Path(path_type=Path), default=ROOT / "build" / "bench-peers.json")
@click.option("--docs/--no-docs", default=True, help="Write docs/benchmarks.md and its chart.")
def main(
    size: str | None,
    systems: tuple[str, ...],
    parts: tuple[str, ...],
    out: Path,
    docs: bool,
) -> None:
    """Measure this queue beside others, each with its own fastest settings."""
    sizes = {"quick": QUICK, "tiny": TINY, None: FULL}[size]
    settings = config.load()
    begun = report.Begun(size)
    installed = install(ROOT / "build" / "peers", _say)
    for name, version in installed.versions.items():
        _say(f"{name} {version}")
    folder = Path(tempfile.mkdtemp(prefix="pgq-peers-"))
    logs = out.parent / "peers-logs"
    logs.mkdir(parents=True, exist_ok=True)
    run = Run(sizes, Results(), folder, _say, count(1))
    pgbench = Pgbench(settings.postgres_bin)

    def wanted(part: str) -> bool:
        return not parts or part in parts

    try:
        with cluster(settings.postgres_bin) as server:
            ours = _ours(server, logs)
            everybody = [
                system
                for system in [ours, *rivals(installed, server.empty, logs)]
                if not systems or system.name in systems
            ]
            raw = limits.raw(run, server, pgbench) if wanted("raw") else {}
            if raw:
                speed = min(1.5, max(0.2, raw["delete_100"] / limits.USUAL_DELETES))
                run = replace(run, sizes=replace(sizes, speed=speed))
            document = report.Report(
                begun, server.facts(), installed.versions, raw, run.results, everybody
            )
            for _ in range(sizes.rounds):
                for name, part in EVERYBODY.items():
                    for system in everybody if wanted(name) else ():
                        part(run, system)
                document.write(out)
            if ours in everybody:
                for name, own in {**alone.PARTS, **pins.PARTS}.items():
                    if wanted(name):
                        own(run, ours, pgbench)
                        document.write(out)
            if sizes.rival_pinned and wanted("pins"):
                for system in everybody:
                    if system is not ours:
                        pins.rival(run, system)
            document.write(out)
            if docs:
                from peers.chart import draw  # matplotlib is needed by nothing else

                document.publish(
                    ROOT / "docs", lambda path: draw(run.results, everybody, raw, path)
                )
            click.echo(document.table())
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _ours(server: Cluster, logs: Path) -> Ours:
    return Ours(
        name="pgq",
        title="pgq",
        settings="`pgq worker` with its defaults, the client library in uvloop, "
        "40 day partitions attached",
        paces={
            "enqueue_1": 700,
            "enqueue_16": 3_500,
            "batch": 40_000,
            "drain_1": 38_000,
            "drain_4": 65_000,
            "pinned": 35_000,
        },
        command=[sys.executable, "-m", "peers.drivers.ours"],
        environment={},
        databases=server.ours,
        log=logs / "pgq.log",
        unfinished_sql=UNFINISHED,
        kept_sql=KEPT,
        table="pgq.ready",
    )


def _say(text: str) -> None:
    click.echo(f"{time.monotonic() - _BEGUN:5.0f} s  {text}", err=True)


if __name__ == "__main__":
    main()
