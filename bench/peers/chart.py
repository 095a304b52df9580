"""The comparison as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib

from peers.results import Results
from peers.system import System

PANELS = {
    "enqueue_1": ("enqueue, 1 client, jobs/s", "insert_1"),
    "enqueue_16": ("enqueue, 16 clients, jobs/s", "insert_16"),
    "enqueue_batch": ("enqueue in batches, jobs/s", "copy"),
    "drain_1": ("drain, 1 process, jobs/s", "delete_100"),
    "drain_4": ("drain, 4 processes, jobs/s", "delete_100"),
    "latency_p99": ("pick-up of an idle worker, p99, ms", ""),
}
OURS, THEIRS, RAW = "#1f6f8b", "#b8c4cc", "#c0392b"


def draw(results: Results, systems: Sequence[System], raw: Mapping[str, float], path: Path) -> None:
    """Bars for each system; the raw limit is a red line, or a number where it is far off."""
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 3, figsize=(13, 6.2), layout="constrained")
    for axis, (work, (title, limit)) in zip(axes.flat, PANELS.items(), strict=True):
        values = [results.value(system.name, work) or 0.0 for system in systems]
        names = [system.title for system in systems]
        colours = [OURS if system.name == "pgq" else THEIRS for system in systems]
        bars = axis.barh(names, values, color=colours)
        axis.bar_label(bars, [f" {v:,.0f}" if v >= 100 else f" {v:.3g}" for v in values], size=8)
        axis.invert_yaxis()
        axis.set_xlim(0, (max(values) or 1) * 1.25)
        if limit in raw:
            title += f"\nraw limit: {raw[limit]:,.0f}"
            if raw[limit] <= (max(values) or 1) * 1.25:
                axis.axvline(raw[limit], color=RAW, linewidth=1)
        axis.set_title(title, size=10)
        axis.locator_params(axis="x", nbins=4)
        axis.xaxis.set_major_formatter("{x:,.0f}")
        axis.tick_params(labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
