"""`pgq job`: looking at jobs, and changing what becomes of them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, get_args

import click

from pgq.cli import bulk, document, errands, people, values, verbs
from pgq.cli import output as out
from pgq.cli.log import logs
from pgq.cli.wait import wait
from pgq.job import State

_LISTED = (
    "id", "task", "queue", "priority", "state", "attempt", "crashes", "suspect", "run_at",
    "created_at", "claimed_at", "started_at", "finished_at", "worker", "tags", "looked_to",
)  # fmt: skip
_COLUMNS = {
    "id": "id",
    "task": "task",
    "queue": "queue",
    "priority": "pri",
    "state": "state",
    "attempt": "att",
    "created_at": "created",
    "starts_at": "starts",
}
_ATTEMPT_COLUMNS = {
    "attempt": "attempt",
    "reason": "reason",
    "charged": "charged",
    "worker_name": "worker",
    "ended_at": "ended",
    "error": "error",
}
_some = click.argument("ids", nargs=-1, type=values.job_id, metavar="[ID...]")
_id = click.argument("job_id", type=values.job_id, metavar="ID")


@click.group()
def job() -> None:
    """Look at jobs, wait for them, cancel, retry and change them."""


job.add_command(logs)
job.add_command(wait)


@job.command("list")
@click.option("-q", "--queue", help="Of this queue.")
@click.option("-s", "--state", type=click.Choice(get_args(State)), help="In this state.")
@click.option("-t", "--task", help="Of this task.")
@click.option("--tag", help="With this tag.")
@click.option(
    "--worker",
    type=click.IntRange(0, 2**63 - 1),
    metavar="ID",
    help="Run by this worker, or last so.",
)
@click.option("--created-after", type=values.instant, metavar="TIME", help="Not before this time.")
@click.option("--created-before", type=values.instant, metavar="TIME", help="Before this time.")
@click.option(
    "--payload",
    type=values.at_place,
    metavar="PATH=VALUE",
    help="With this value at a place of the payload, as user.id=42.",
)
@click.option("--before", type=values.job_id, metavar="ID", help="Older than this job.")
@click.option("-n", "--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
@click.option(
    "--look-at",
    "rows",
    type=click.IntRange(1, 10_000_000),
    default=100_000,
    show_default=True,
    help="Search no more jobs than this.",
)
@out.option
def list_(payload: tuple[list[str], str] | None, output: out.Format, **filters: Any) -> None:
    """Jobs, the newest first."""
    path, value = payload or (None, None)
    with verbs.session() as session:
        jobs = verbs.rows(session, "list_jobs", _LISTED, **filters, path=path, value=value)
        now = verbs.now(session)
    looked_to = jobs.pop()["looked_to"] if jobs and jobs[-1]["id"] is None else None
    _show_list(jobs, now=now, output=output)
    if looked_to is not None:
        click.echo(f"pgq: not all were looked at; go on with --before {looked_to}", err=True)


def _show_list(jobs: list[verbs.Row], *, now: datetime, output: out.Format) -> None:
    if output == "json":
        out.write(jobs, _LISTED[:-1], output=output)
        return
    for each in jobs:
        waits = each["state"] in ("scheduled", "retrying")
        is_due = waits and each["run_at"] <= now
        each["starts_at"] = "now" if is_due else each["run_at"] if waits else None
    people.table(jobs, _COLUMNS, now=now, widths={"task": 26, "queue": 14})


@job.command()
@_id
@out.option
def show(job_id: int, output: out.Format) -> None:
    """All about one job.

    Its state, payload and result, and the attempts that failed.
    """
    with verbs.session() as session:
        found = document.of(session, job_id)
        content = document.content(session, job_id)
        attempts = document.attempts(session, job_id)
        now = verbs.now(session)
    if output == "json":
        out.write_one({**found, **content, "attempts": attempts}, output=output)
        return
    told = {name: value for name, value in {**found, **content}.items() if _tells(value)}
    out.write_one(
        {
            name: people.moment(value, now=now)
            if isinstance(value, datetime)
            else people.duration(value)
            if isinstance(value, timedelta)
            else value
            for name, value in told.items()
        },
        output=output,
    )
    if not content:
        click.echo("pgq: payload and result are not shown: this role may not see them", err=True)
    if not attempts:
        return
    for each in attempts:
        each["error"] = _error(each)
    click.echo()
    people.table(attempts, _ATTEMPT_COLUMNS, now=now, widths={"worker_name": 20, "error": 60})
    if traceback := attempts[-1]["traceback"]:
        click.echo(f"\n{people.printable(traceback.rstrip())}")


@job.command()
@_some
@bulk.job_filters
@bulk.ways
@out.option
def cancel(ids: tuple[int, ...], output: out.Format, **options: Any) -> None:
    """Cancel jobs, by their IDs or by a filter.

    Those that wait end at once; the handler of one that runs is told to stop.
    """
    if _is_bulk("cancel", ids, output, options):
        return

    def errand(session: verbs.Session, job_id: int) -> str:
        return str(verbs.value(session, "cancel", id=job_id))

    phrases = {"requested": "is running: its handler is told to stop"}
    errands.run(ids, errand, noun="job", output=output, phrases=phrases)


@job.command()
@_some
@click.option("--payload", type=values.json_text, metavar="JSON|@FILE|-", help="Another payload.")
@bulk.job_filters
@bulk.ways
@out.option
def retry(ids: tuple[int, ...], payload: str | None, output: out.Format, **options: Any) -> None:
    """Run dead or cancelled jobs again, by their IDs or by a filter.

    They begin with their first attempt. By filter, a payload is an object whose members replace
    those of each job's.
    """
    if _is_bulk("retry", ids, output, options, payload=payload):
        return
    errands.retry(ids, payload=payload, output=output)


@job.command("run-now")
@_some
@bulk.job_filters
@bulk.ways
@out.option
def run_now(ids: tuple[int, ...], output: out.Format, **options: Any) -> None:
    """Make scheduled and retrying jobs ready, by their IDs or by a filter."""
    if _is_bulk("run_now", ids, output, options):
        return

    def errand(session: verbs.Session, job_id: int) -> str:
        verbs.value(session, "run_now", id=job_id)
        return "ready"

    errands.run(ids, errand, noun="job", output=output)


@job.command()
@_id
@click.option("--payload", type=values.json_text, metavar="JSON|@FILE|-")
@click.option("--priority", type=click.IntRange(0, 9), help="0 is soonest.")
@click.option("--run-at", type=values.instant, metavar="TIME")
@out.option
def edit(job_id: int, output: out.Format, **changes: Any) -> None:
    """Change a job that waits or is dead."""
    if all(value is None for value in changes.values()):
        raise click.UsageError("nothing to change; give --payload, --priority or --run-at")

    def errand(session: verbs.Session, job_id: int) -> str:
        verbs.value(session, "edit", id=job_id, **changes)
        return "changed"

    errands.run([job_id], errand, noun="job", output=output)


@job.command()
@_id
@click.option("--payload", type=values.json_text, metavar="JSON|@FILE|-", help="Another payload.")
@click.option("-q", "--queue", help="Into another queue.")
@click.option("--priority", type=click.IntRange(0, 9), help="0 is soonest.")
@click.option("--run-at", type=values.instant, metavar="TIME", help="Else it may run now.")
@click.option("--delay", type=values.duration, help="So long from now, as 10m.")
@out.option
def duplicate(job_id: int, output: out.Format, **changes: Any) -> None:
    """Enqueue another job like this one.

    The unique key is not copied.
    """
    with verbs.session() as session:
        new = verbs.value(session, "duplicate", id=job_id, **changes)
    if output == "json":
        out.write_one({"id": new, "job": job_id}, output=output)
    else:
        click.echo(f"job {new} enqueued")


def _is_bulk(
    verb: str,
    ids: tuple[int, ...],
    output: out.Format,
    options: dict[str, Any],
    *,
    payload: str | None = None,
) -> bool:
    """Whether it was for a filter, and is done."""
    asked = bulk.asked(ids, options, output, others="a filter as --queue, or --all")
    if asked is None:
        return False
    how, filters = asked
    bulk.run(verb, filters, how, payload=payload)
    return True


def _tells(value: Any) -> bool:
    return value is not None and value is not False and value != []


def _error(attempt: verbs.Row) -> str | None:
    return ": ".join(filter(None, (attempt["error_class"], attempt["message"]))) or None
