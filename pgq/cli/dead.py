"""`pgq dead`: dead letters, the jobs that will not be tried again unless somebody asks."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import click

from pgq.cli import errands, people, values, verbs
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
_limit = click.option(
    "-n",
    "--limit",
    type=click.IntRange(1),
    default=1000,
    show_default=True,
    help="At most so many.",
)


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
@click.option(
    "--payload", type=values.json_text, metavar="JSON|@FILE|-", help="For one ID: another."
)
@_filters
@click.option("--all", "everything", is_flag=True, help="Whatever there is.")
@_limit
@out.option
def retry(
    ids: tuple[int, ...],
    payload: str | None,
    everything: bool,
    limit: int,
    output: out.Format,
    **filters: str | None,
) -> None:
    """Run dead letters again.

    They begin with their first attempt. By filter the oldest go first, and those whose unique key
    is taken stay dead.
    """
    given = {name: value for name, value in filters.items() if value is not None}
    if ids:
        if given or everything:
            raise click.UsageError("IDs and filters exclude each other")
        errands.retry(ids, payload=payload, output=output)
        return
    if payload is not None:
        raise click.UsageError("--payload needs the ID of the job that it is for")
    if not given and not everything:
        raise click.UsageError("which? give IDs, --queue, --task, --fingerprint or --all")
    _in_batches("redrive", given, limit=limit, did="retried", output=output)


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
    limit: int,
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
        if not click.confirm(f"Delete up to {limit:,} dead letters for good?", err=True):
            raise click.ClickException("nothing was purged")
    _in_batches("purge", given, limit=limit, did="purged", output=output)


def _error(letter: verbs.Row) -> str:
    said = ": ".join(filter(None, (letter["error_class"], letter["message"])))
    return said or str(letter["reason"])


def _in_batches(
    verb: str, conditions: dict[str, Any], *, limit: int, did: str, output: out.Format
) -> None:
    count = 0
    with verbs.session() as session, Progress() as progress:
        while count < limit:
            moved = verbs.value(session, verb, **conditions, limit=min(BATCH, limit - count))
            count += moved
            progress.show(f"{people.plural(count, 'dead letter')} {did}")
            if not moved:
                break
    if output == "json":
        out.write_one({did: count, "limit_reached": count >= limit}, output=output)
        return
    more = "; there may be more: repeat, or raise --limit" if count >= limit else ""
    click.echo(f"{people.plural(count, 'dead letter')} {did}{more}")
