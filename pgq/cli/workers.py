"""`pgq workers`: who runs jobs."""

from __future__ import annotations

import click

from pgq.cli import output as out
from pgq.cli import people, verbs

_LISTED = (
    "id", "name", "state", "queues", "slots", "busy", "started_at", "heartbeat_at", "info",
)  # fmt: skip
_COLUMNS = {
    "id": "id",
    "name": "name",
    "state": "state",
    "queues": "queues",
    "load": "busy",
    "started_at": "started",
    "heartbeat_at": "heard",
}


@click.command()
@out.option
def workers(output: out.Format) -> None:
    """Workers, and those that went lately (offline)."""
    with verbs.session() as session:
        found = verbs.rows(session, "list_workers", _LISTED)
        now = verbs.now(session)
    if output == "json":
        out.write(found, _LISTED, output=output)
        return
    for each in found:
        each["load"] = f"{each['busy']}/{each['slots']}"
    people.table(found, _COLUMNS, now=now, widths={"name": 28, "queues": 24})
