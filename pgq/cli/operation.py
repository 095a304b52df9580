"""`pgq operation`: verbs for many jobs, which upkeep does a slice at a time."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import click

from pgq.cli import errands, people, verbs
from pgq.cli import output as out

SHOWN = (
    "id", "verb", "filter", "has_payload", "rate", "state", "found", "done", "skipped", "expected",
    "most", "started_at", "finished_at", "by", "message",
)  # fmt: skip
"""What is told of an operation."""
_COLUMNS = {
    "id": "id",
    "verb": "verb",
    "state": "state",
    "done": "done",
    "skipped": "skipped",
    "expected": "of",
    "started_at": "started",
    "finished_at": "ended",
    "by": "by",
    "filter": "filter",
}
_NUMBER = click.IntRange(1, 2**63 - 1)


@click.group()
def operation() -> None:
    """Look at operations on many jobs, and stop them."""


@operation.command("list")
@click.option("-n", "--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@out.option
def list_(limit: int, output: out.Format) -> None:
    """Operations, the newest first."""
    with verbs.session() as session:
        found = verbs.rows(session, "list_operations", SHOWN, limit=limit)
        now = verbs.now(session)
    if output == "json":
        out.write(found, SHOWN, output=output)
        return
    people.table(found, _COLUMNS, now=now, widths={"by": 12, "filter": 24})


@operation.command()
@click.argument("operation_id", type=_NUMBER, metavar="ID")
@out.option
def show(operation_id: int, output: out.Format) -> None:
    """How far an operation is."""
    with verbs.session() as session:
        found = verbs.row(session, "get_operation", SHOWN, id=operation_id)
        now = verbs.now(session)
    if output == "json":
        out.write_one(found, output=output)
        return
    out.write_one({name: _told(value, now) for name, value in found.items()}, output=output)


@operation.command()
@click.argument("ids", nargs=-1, required=True, type=_NUMBER, metavar="ID...")
@out.option
def stop(ids: tuple[int, ...], output: out.Format) -> None:
    """End operations before their time.

    What they have done stays done.
    """

    def errand(session: verbs.Session, operation_id: int) -> str:
        return "stopped" if verbs.value(session, "stop_operation", id=operation_id) else "ended"

    phrases = {"ended": "had ended before"}
    errands.run(ids, errand, noun="operation", output=output, phrases=phrases)


def _told(value: Any, now: datetime) -> Any:
    return people.moment(value, now=now) if isinstance(value, datetime) else value
