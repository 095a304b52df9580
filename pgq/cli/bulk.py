"""One verb for all jobs that pass a filter: counted first, then done by a tracked operation."""

from __future__ import annotations

import getpass
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, get_args

import click
import psycopg
from psycopg import sql

from pgq.cli import operation, people, values, verbs
from pgq.cli import output as out
from pgq.cli.progress import Progress
from pgq.job import State

CAP = 10_000
"""Up to here jobs are counted before it is asked."""
LOOK = 0.2
"""Seconds between two looks at how far it is."""

_Command = Callable[..., Any]


@dataclass(frozen=True, kw_only=True)
class How:
    """How an operation is to be done, apart from for which jobs."""

    output: out.Format
    limit: int | None = None
    rate: float | None = None
    yes: bool = False
    detach: bool = False
    print_sql: bool = False

    @property
    def is_tracked(self) -> bool:
        """Whether it takes an operation, for a few jobs too."""
        return bool(self.limit or self.rate or self.detach or self.print_sql)


def job_filters(command: _Command) -> _Command:
    """Options that tell which jobs; `asked` reads them."""
    return _with(
        command,
        click.option("-q", "--queue", help="Of this queue."),
        click.option("-s", "--state", type=click.Choice(get_args(State)), help="In this state."),
        click.option("-t", "--task", help="Of this task."),
        click.option("--tag", help="With this tag."),
        click.option(
            "--worker",
            type=click.IntRange(1, 2**63 - 1),
            metavar="ID",
            help="Run by this worker, or last so.",
        ),
        click.option("--created-after", type=values.instant, metavar="TIME"),
        click.option("--created-before", type=values.instant, metavar="TIME"),
        click.option(
            "--where",
            type=values.at_place,
            metavar="PATH=VALUE",
            help="With this value at a place of the payload, as user.id=42.",
        ),
        click.option("--all", "everything", is_flag=True, help="All that the verb is for."),
    )


def ways(command: _Command) -> _Command:
    """Options that become a `How`."""
    return _with(
        command,
        click.option("-n", "--limit", type=click.IntRange(1), help="At most so many, as a test."),
        click.option(
            "--rate", type=click.FloatRange(0, 1e6, min_open=True), help="Jobs a second, no faster."
        ),
        click.option("-y", "--yes", is_flag=True, help="Do not ask."),
        click.option("--detach", is_flag=True, help="Do not wait for its end."),
        click.option("--print-sql", is_flag=True, help="Only print the statement that starts it."),
    )


def asked(
    ids: Sequence[int], options: Mapping[str, Any], output: out.Format, *, others: str
) -> tuple[How, dict[str, Any]] | None:
    """How, and for which jobs; None when those with `ids` need no operation.

    `others` are other ways to tell which.
    """
    how, rest = _taken(options, output)
    filters = _conditions(rest)
    if ids and filters:
        raise click.UsageError("IDs and filters exclude each other")
    if not ids and not filters:
        raise click.UsageError(f"which? give IDs, {others}")
    if ids and not how.is_tracked:
        return None
    return how, filters or {"ids": list(ids)}


def _taken(options: Mapping[str, Any], output: out.Format) -> tuple[How, dict[str, Any]]:
    """What `ways` gave, and the other options."""
    names = [each.name for each in fields(How) if each.name in options]
    how = How(output=output, **{name: options[name] for name in names})
    return how, {name: value for name, value in options.items() if name not in names}


def _conditions(options: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a filter; none when nothing was given."""
    found = {name: value for name, value in options.items() if value is not None}
    everything = found.pop("everything", False)
    if "where" in found:
        found["path"], found["value"] = found.pop("where")
    if everything and found:
        raise click.UsageError("--all and filters exclude each other")
    return {"created_after": "-infinity"} if everything else found


def run(
    verb: str,
    filters: Mapping[str, Any],
    how: How,
    *,
    noun: str = "job",
    payload: str | None = None,
) -> None:
    """Tell how many jobs it is for, ask, begin, and wait for the end.

    What this session does of it helps whoever does upkeep. Exits with 1 when the operation did not
    come to its end.
    """
    more = {"payload": payload, "limit": how.limit, "rate": how.rate, "by": _by()}
    arguments = {
        "verb": verb, **filters, **{name: value for name, value in more.items() if value},
    }  # fmt: skip
    if how.print_sql:
        click.echo(_statement(arguments))
        return
    with verbs.session() as session:
        count = verbs.row(
            session, "count_jobs", ("n", "capped", "looked_to"), **filters, verb=verb, cap=CAP
        )
        found = min(count["n"], how.limit or count["n"])
        more_or_less = count["capped"] or count["looked_to"] is not None
        told = f"{people.plural(found, noun)}{' or more' if more_or_less and not how.limit else ''}"
        if not how.yes:
            _ask(f"{verb.replace('_', ' ').capitalize()} {told}?")
        started = verbs.value(session, "start_operation", **arguments)
        try:
            done = _followed(session, started, wait=not how.detach)
        except KeyboardInterrupt:
            click.echo(f"pgq: operation {started} goes on without you", err=True)
            raise
    if how.output == "json":
        out.write_one(done, output=how.output)
    else:
        click.echo(_told(done, noun))
    click.get_current_context().exit(1 if done["state"] in ("failed", "stopped") else 0)


def _with(command: _Command, *options: Callable[[_Command], _Command]) -> _Command:
    for option in reversed(options):
        command = option(command)
    return command


def _ask(question: str) -> None:
    if not out.is_terminal(sys.stdin):
        raise click.UsageError(f"{question} say --yes, since there is no terminal to ask")
    if not click.confirm(question, err=True):
        raise click.ClickException("nothing was done")


def _followed(session: verbs.Session, started: int, *, wait: bool) -> verbs.Row:
    """The operation when it has ended, or as it is."""
    helps = True
    with Progress() as progress:
        while True:
            found = verbs.row(session, "get_operation", operation.SHOWN, id=started)
            if found["state"] != "running" or not wait:
                return found
            expected = found["expected"]
            of = "" if expected is None else f" of {expected:,}"
            progress.show(f"operation {started}: {found['done']:,}{of} done")
            met = 0
            if helps:
                try:
                    met = verbs.value(session, "operate") or 0
                except psycopg.errors.InsufficientPrivilege:
                    helps = False
            if not met:
                time.sleep(LOOK)


def _told(found: verbs.Row, noun: str) -> str:
    if found["state"] == "running":
        return f"operation {found['id']} has begun; see pgq operation show {found['id']}"
    parts: Sequence[str | None] = (
        f"{people.plural(found['done'], noun)} done",
        f"{found['skipped']:,} skipped" if found["skipped"] else None,
        found["message"],
    )
    said = ", ".join(filter(None, parts))
    return f"operation {found['id']} {found['state']}: {said}"


def _statement(arguments: Mapping[str, Any]) -> str:
    named = sql.SQL(", ").join(
        sql.SQL("{} => {}").format(sql.Identifier(f"p_{name}"), sql.Literal(value))
        for name, value in arguments.items()
    )
    return sql.SQL("select pgq.start_operation({});").format(named).as_string()


def _by() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # who has no name
        return "cli"
