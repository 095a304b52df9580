"""The reference of the metrics in docs/metrics.md, made of what `pgq.list_metrics` answers.

python -m pgq_server.metrics docs        # with a Postgres of its own, for a moment
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg

from pgq import database, schema, scratch

HEAD = """# Metrics

Made from `pgq.list_metrics()` by `make reference`; do not edit.

`/metrics` of any server tells of the whole cluster, since all of it comes from the database: what
was counted outlives every process, and it costs the same however many jobs there are. Where no
server runs, `select pgq.openmetrics()` gives the same text to anyone with psql and the role
`pgq_viewer`. Off loopback, Prometheus needs a token: `pgq token create prometheus --scope view`.

Labels have few values: those that the table names, the queue's own tables, and queues, of which the
first 50 that ever had a job have samples of their own; the rest are added up as `other`. Histograms
are in seconds, from a millisecond to half a day.
"""


def fetch(session: psycopg.Connection[Any]) -> list[tuple[str, str, list[str], str]]:
    """The rows of `pgq.list_metrics`."""
    return session.execute("select metric, type, labels, help from pgq.list_metrics()").fetchall()


def reference(rows: Iterable[tuple[str, str, list[str], str]]) -> str:
    """The page."""
    return "\n".join(_lines(rows))


def _lines(rows: Iterable[tuple[str, str, list[str], str]]) -> Iterator[str]:
    yield HEAD
    yield "| metric | type | labels | |"
    yield "|---|---|---|---|"
    for metric, kind, labels, text in rows:
        shown = ", ".join(f"`{label}`" for label in labels)
        yield f"| `{metric}` | {kind} | {shown} | {text} |"
    yield ""


def main(folder: Path) -> None:
    """Write the page."""
    with scratch.server(None) as dsn:
        schema.migrate(dsn)
        with closing(database.connect(dsn)) as session:
            (folder / "metrics.md").write_text(reference(fetch(session)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
