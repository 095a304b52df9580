"""`pgq dead`: dead letters, the jobs that will not be tried again unless somebody asks."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import click

from pgq.cli import bulk, errands, people, values, verbs
from pgq.cli import output as out
from pgq.cli.progress import Progress

BATCH = 1000
"""Dead letters that are moved together."""

_LISTED = (
    "id", "task", "queue", "reason", "fingerprint", "error_class", "message", "attempt", "crashes",
    "died_at",
)  # fmt: skip
_COLUMNS = {
    "id": "id",
    "task": "task",
    "queue": "queue",
    "died_at": "died",
    "fingerprint": "fingerprint",
    "error": "error",
}
_GROUPED = (
    "fingerprint", "reason", "error_class", "message", "n", "first_at", "last_at", "last_id",
    "tasks", "queues",
)  # fmt: skip
_GROUP_COLUMNS = {
    "fingerprint": "fingerprint",
    "n": "jobs",
    "tasks": "task",
    "first_at": "first",
    "last_at": "last",
    "last_id": "last id",
    "error": "error",
}
_ids = click.argument("ids", nargs=-1, type=values.job_id, metavar="[ID...]")
_limit = click.option("-n", "--limit", type=click.IntRange(1), help="At most so many.")


def _filters(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--fingerprint", help="With this kind of error, as `pgq dead list` shows."),
        click.option("-t", "--task", help="Of this task."),
        click.option("-q", "--queue", help="Of this queue."),
    ):
        command = option(command)
    return command


@click.group()
def dead() -> None:
    """List dead letters, retry and purge them."""


@dead.command("list")
@_filters
@click.option("--before", type=values.job_id, metavar="ID", help="Older than this job.")
@click.option("-n", "--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
@out.option
def list_(output: out.Format, **filters: Any) -> None:
    """Dead letters, the newest jobs first."""
    with verbs.session() as session:
        letters = verbs.rows(session, "list_dead", _LISTED, **filters)
        now = verbs.now(session)
    if output == "json":
        out.write(letters, _LISTED, output=output)
        return
    for each in letters:
        each["error"] = _error(each)
    people.table(letters, _COLUMNS, now=now, widths={"task": 16, "queue": 10, "error": 29})


@dead.command()
@click.option("-q", "--queue", help="Of this queue.")
@click.option("-t", "--task", help="Of this task.")
@click.option("-n", "--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
@out.option
def groups(output: out.Format, **filters: Any) -> None:
    """Kinds of errors among the newest dead letters, the last seen first."""
    with verbs.session() as session:
        found = verbs.rows(session, "list_dead_groups", _GROUPED, **filters)
        now = verbs.now(session)
    if output == "json":
        out.write(found, _GROUPED, output=output)
        return
    for each in found:
        each["error"] = _error(each)
    people.table(found, _GROUP_COLUMNS, now=now, widths={"tasks": 14, "error": 20})


@dead.command()
@_ids
@click.option("--payload", type=values.json_text, metavar="JSON|@FILE|-", help="Another payload.")
@_filters
@click.option("--all", "everything", is_flag=True, help="Whatever there is.")
@bulk.ways
@out.option
def retry(ids: tuple[int, ...], payload: str | None, output: out.Format, **options: Any) -> None:
    """Run dead letters again, by their IDs or by a filter.

    They begin with their first attempt. By filter the oldest go first, those whose unique key is
    taken stay dead, and a payload is an object whose members replace those of each job's.
    """
    asked = bulk.asked(ids, options, output, others="--queue, --task, --fingerprint or --all")
    if asked is None:
        errands.retry(ids, payload=payload, output=output)
        return
    how, filters = asked
    bulk.run("retry", {**filters, "state": "dead"}, how, noun="dead letter", payload=payload)


@dead.command()
@_ids
@_filters
@click.option("--older-than", type=values.duration, help="Dead for at least so long.")
@_limit
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@out.option
def purge(
    ids: tuple[int, ...],
    older_than: timedelta | None,
    limit: int | None,
    yes: bool,
    output: out.Format,
    **filters: str | None,
) -> None:
    """Delete dead letters for good.

    The oldest go first. All conditions that are given must hold.
    """
    given: dict[str, Any] = {name: value for name, value in filters.items() if value is not None}
    if older_than is not None:
        given["older_than"] = older_than
    if ids:
        given["ids"] = list(ids)
    if not given:
        raise click.UsageError("which? give IDs, --queue, --task, --fingerprint or --older-than")
    if not yes:
        if not out.is_terminal(sys.stdin):
            raise click.UsageError(
                "purge deletes for good; say --yes, since there is no terminal to ask"
            )
        if not click.confirm(f"Delete {_most(limit)} for good?", err=True):
            raise click.ClickException("nothing was purged")
    count = 0
    with verbs.session() as session, Progress() as progress:
        while limit is None or count < limit:
            batch = BATCH if limit is None else min(BATCH, limit - count)
            moved = verbs.value(session, "purge", **given, limit=batch)
            count += moved
            progress.show(f"{people.plural(count, 'dead letter')} purged")
            if not moved:
                break
    if output == "json":
        out.write_one({"purged": count}, output=output)
    else:
        click.echo(f"{people.plural(count, 'dead letter')} purged")


def _error(letter: verbs.Row) -> str:
    said = ": ".join(filter(None, (letter["error_class"], letter["message"])))
    return said or str(letter["reason"])


def _most(limit: int | None) -> str:
    if limit is None:
        return "all such dead letters"
    return f"up to {people.plural(limit, 'dead letter')}"
