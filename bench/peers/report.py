"""The comparison as JSON, as tables, and as a chart."""

from __future__ import annotations

import json
import os
import platform
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from peers import machine, targets
from peers.results import Results
from peers.system import System

BEGIN, END = "<!-- comparison -->", "<!-- end of comparison -->"
CHART = "benchmarks.png"
RAW = {
    "enqueue_1": "insert_1",
    "enqueue_16": "insert_16",
    "enqueue_batch": "copy",
    "enqueue_copy": "copy",
    "drain_1": "delete_100",
    "drain_4": "delete_100",
    "drain_1_sync": "delete_100",
}
TABLES: Mapping[str, Mapping[str, str]] = {
    "Making jobs, and running them. Jobs a second, and in brackets the share of the raw limit": {
        "enqueue_1": "enqueue, 1 client",
        "enqueue_16": "16 clients",
        "enqueue_batch": "batches",
        "drain_1": "drain, 1 process",
        "drain_4": "4 processes",
    },
    "What it costs, and how soon it starts": {
        "latency_p50": "pick-up p50, ms",
        "latency_p99": "p99, ms",
        "payload_10k": "10 KB payload, jobs/s",
        "payload_100k": "100 KB",
        "wal_per_job": "WAL, bytes a job",
        "db_time_per_job": "database processor time, µs a job",
        "memory": "memory of a worker process, MB",
        "pinned_reader": "old snapshot: last over first window",
    },
}
ALONE = {
    "enqueue_copy": "COPY, jobs/s",
    "drain_1_sync": "drain, sync handlers in threads, 1 process, jobs/s",
    "pinned_reader": "drain under an idle reader's snapshot: last window over first",
    "pinned_writer": "the same, an idle writer of another table",
    "pinned_enqueuer": "the same, a transaction that enqueued one job and stays open",
    "pinned_claimer": "the same, one that claimed one",
    "steady_reader": "10,000 jobs/s under an idle reader's snapshot: reached over offered",
    "steady_writer": "the same, an idle writer of another table",
    "steady_enqueuer": "the same, a transaction that enqueued one job and stays open",
    "steady_claimer": "the same, one that claimed one",
    "claim_p99_pinned": "p99 of a claim under the worst of these, over unpinned",
    "backlog": "20,000 jobs from a long backlog, over the same from none",
    "mixed": "5 % failing once, 5 % delayed, 4 priorities, 10 queues, over plain",
    "connections_256": "claims and completions from 256 connections, over the peak of 16, 64, 256",
}
COMMANDS = {None: "make bench-peers", "quick": "make bench-peers-quick"}


@dataclass(frozen=True)
class Begun:
    """When and how the run was started, and how busy the machine was."""

    size: str | None
    at: datetime = field(default_factory=lambda: datetime.now(UTC))
    load: float = field(default_factory=lambda: os.getloadavg()[0])
    clock: float = field(default_factory=time.monotonic)

    @property
    def command(self) -> str:
        """What was typed."""
        return COMMANDS.get(self.size, f"python -m peers --{self.size}")


@dataclass(frozen=True)
class Report:
    """All that one run found."""

    begun: Begun
    server: Mapping[str, str]
    installed: Mapping[str, str]
    raw: Mapping[str, float]
    results: Results
    systems: Sequence[System]

    def document(self) -> dict[str, Any]:
        """For programs."""
        return {
            "machine": self._machine,
            "date": self.begun.at.strftime("%Y-%m-%d %H:%M UTC"),
            "command": self.begun.command,
            "load": {"before": self.begun.load, "after": os.getloadavg()[0]},
            "seconds": round(time.monotonic() - self.begun.clock),
            "server": dict(self.server),
            "versions": {
                "postgresql": self.server["server_version"],
                "python": platform.python_version(),
                "pgq": machine.version(),
                **self.installed,
            },
            "settings": {system.name: system.settings for system in self.systems},
            "raw": dict(self.raw),
            "rows": self.results.rows(),
            "void": self.results.void_rows(),
        }

    def write(self, path: Path) -> None:
        """As JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.document(), indent=2, ensure_ascii=False) + "\n")

    def publish(self, folder: Path, draw: Callable[[Path], None]) -> None:
        """Into `benchmarks.md`, in place of the last comparison, with the chart that is drawn."""
        draw(folder / CHART)
        page = folder / "benchmarks.md"
        text = page.read_text() if page.exists() else "# Benchmarks\n"
        part = f"{BEGIN}\n{self.table()}\n\n![The comparison as a chart]({CHART})\n{END}"
        if BEGIN in text:
            pattern = re.compile(f"{re.escape(BEGIN)}.*{re.escape(END)}", re.DOTALL)
            text = pattern.sub(lambda _: part, text)
        else:
            text = f"{text.rstrip()}\n\n## Beside others\n\n{part}\n"
        page.write_text(text)

    def table(self) -> str:
        """As Markdown."""
        parts = [self._facts()]
        for title, columns in TABLES.items():
            works = [w for w in columns if any(self._shown(s.name, w) for s in self.systems)]
            if works:
                head = ["", *(columns[work] for work in works)]
                lines = [
                    [system.title, *(self._shown(system.name, work) for work in works)]
                    for system in self.systems
                ]
                parts.append(f"{title}:\n\n{_markdown(head, lines)}")
        alone = [[what, s] for work, what in ALONE.items() if (s := self._shown("pgq", work))]
        if alone:
            parts.append(f"Of pgq alone:\n\n{_markdown(['', 'pgq'], alone)}")
        if judged := targets.judge(self.results, self.raw):
            head = ["work", "is", "target", ""]
            parts.append(f"Against its targets:\n\n{_markdown(head, judged)}")
        if void := self.results.void_rows():
            lines = [[row["system"], row["work"], row["reason"]] for row in void]
            parts.append(f"Void:\n\n{_markdown(['system', 'work', 'why'], lines)}")
        return "\n\n".join(parts)

    def _facts(self) -> str:
        document = self.document()
        versions = ", ".join(f"{name} {v}" for name, v in document["versions"].items())
        raw = ", ".join(f"{name} {rate:,.0f}/s" for name, rate in self.raw.items())
        settings = "\n".join(f"- {s.title}: {s.settings}" for s in self.systems)
        server = ", ".join(
            f"{name} {v}" for name, v in self.server.items() if name != "server_version"
        )
        load = document["load"]
        return (
            f"`{self.begun.command}` on {document['date']}, {document['seconds']} s; "
            f"{self._machine}, shared by server, clients and workers; load {load['before']:.1f} "
            f"before, {load['after']:.1f} after. {server}. {versions}.\n\n"
            f"Raw limits: {raw}.\n\n{settings}"
        )

    def _shown(self, system: str, work: str) -> str:
        if (system, work) in self.results.void:
            return "void"
        value = self.results.value(system, work)
        if value is None:
            return ""
        limit = self.raw.get(RAW.get(work, ""))
        return f"{number(value)} ({value / limit:.2f})" if limit else number(value)

    @property
    def _machine(self) -> str:
        return f"{machine.describe()}, {platform.system()} {platform.release()}"


def number(value: float) -> str:
    """Three digits or all before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _markdown(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
