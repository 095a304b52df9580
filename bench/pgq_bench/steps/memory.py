"""What an executor child holds in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pgq_bench.bench import Bench, insert, wait_finished
from pgq_bench.figures import Figure
from pgq_bench.server import opened


def run(bench: Bench) -> Iterator[Figure]:
    """Its proportional set size after it has run jobs; only Linux tells."""
    if not Path("/proc/self/smaps_rollup").exists():
        bench.say("memory: skipped, this system does not tell a process's proportional set size")
        return
    jobs = max(100, bench.jobs // 5)
    bench.say(f"memory: after {jobs:,} jobs")
    with bench.server.fresh() as dsn, opened(dsn) as session, bench.worker(dsn) as worker:
        insert(session, jobs)
        wait_finished(session, jobs)
        children = _descendants(worker.pid)
        yield Figure(
            step="memory",
            name=f"executor child after {jobs:,} jobs",
            value=max(_pss(child) for child in children),
            unit="MB PSS",
            most=80.0,
        )
        yield Figure(step="memory", name="supervisor", value=_pss(worker.pid), unit="MB PSS")


def _descendants(pid: int) -> list[int]:
    children = [
        int(child)
        for task in Path(f"/proc/{pid}/task").iterdir()
        for child in (task / "children").read_text().split()
    ]
    return [*children, *(further for child in children for further in _descendants(child))]


def _pss(pid: int) -> float:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        name, _, rest = line.partition(":")
        if name == "Pss":
            return int(rest.split()[0]) / 1024
    return 0.0
