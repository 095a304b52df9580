"""`pgq enqueue`: one job from arguments, or many from the lines of standard input."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import click

from pgq.cli import lines, people, values, verbs
from pgq.cli import output as out
from pgq.cli.lines import Line
from pgq.cli.progress import Progress
from pgq.errors import BadArgument


@click.command()
@click.argument("task", required=False)
@click.argument("payload", required=False, type=values.json_text, metavar="[JSON|@FILE|-]")
@click.option("-q", "--queue", help="Its queue; 'default' unless given.")
@click.option("--priority", type=click.IntRange(0, 9), help="0 is soonest; 5 unless given.")
@click.option("--delay", type=values.duration, help="Not before this long from now.")
@click.option("--run-at", type=values.instant, metavar="TIME", help="Not before this time.")
@click.option("--unique-key", help="At most one unfinished job of the queue has it.")
@click.option("--max-attempts", type=click.IntRange(1, 32767), help="The queue's unless given.")
@click.option("--timeout", type=values.duration, help="Of an attempt; the queue's unless given.")
@click.option("--tag", "tags", multiple=True, metavar="TAG", help="May be repeated.")
@click.option(
    "--header",
    "headers",
    type=values.header,
    multiple=True,
    metavar="NAME=VALUE",
    help="May be repeated.",
)
@click.option("--stdin", is_flag=True, help="Many jobs, one from each line of standard input.")
@out.option
def enqueue(
    task: str | None, payload: str | None, stdin: bool, output: out.Format, **options: Any
) -> None:
    """Enter a job, and print its id.

    The payload is JSON: an object holds keyword arguments, an array positional ones, anything else
    is one argument. @FILE reads it from a file, - from standard input.

    With --stdin each line is the payload of a job of TASK. Without TASK each line is an object with
    some of the fields task, payload, queue, priority, delay, run_at, unique_key, max_attempts,
    timeout, backoff_base, backoff_max, tags, headers, and the options stand in for those that it
    leaves out. With -o json there is an object for each job, on a line of its own.

    \b
    pgq enqueue mail '{"to": "a@example.org"}' --queue mail --delay 10m
    pgq enqueue resize --stdin < payloads.jsonl
    """
    given = {name: value for name, value in options.items() if value not in (None, ())}
    if "delay" in given and "run_at" in given:
        raise click.UsageError("--delay and --run-at exclude each other")
    if "headers" in given:
        given["headers"] = dict(given["headers"])
    if stdin and payload is not None:
        raise click.UsageError("a payload and --stdin exclude each other: the lines are payloads")
    if stdin:
        _enqueue_lines(task, given, output=output)
    elif task is None:
        raise click.UsageError("Missing argument 'TASK'")
    else:
        _enqueue_one(task, payload, given, output=output)


def _enqueue_one(
    task: str, payload: str | None, options: dict[str, Any], *, output: out.Format
) -> None:
    if payload is not None:
        options["payload"] = payload
    if "headers" in options:
        options["headers"] = json.dumps(options["headers"])
    if "tags" in options:
        options["tags"] = list(options["tags"])
    with verbs.session() as session:
        job = verbs.row(session, "enqueue", ["id", "created"], task=task, **options)
    if output == "json":
        out.write_one(job, output=output)
        return
    click.echo(job["id"])
    if not job["created"]:
        click.echo("pgq: the unique key is taken: this is the job that has it", err=True)


def _enqueue_lines(task: str | None, options: Mapping[str, Any], *, output: out.Format) -> None:
    defaults = {name: lines.encoded(value) for name, value in options.items()}
    if task is not None:
        defaults["task"] = lines.encoded(task)
    created = taken = 0
    with verbs.session() as session, Progress() as progress, _point_of_return() as reached:
        for batch in lines.batches():
            jobs = [lines.job(line, defaults, is_payload=task is not None) for line in batch]
            for job in _enqueue_batch(session, batch, jobs):
                created += job["created"]
                taken += not job["created"]
                if output == "json":
                    click.echo(json.dumps(job))
            reached[0] = batch[-1].number
            progress.show(f"{people.plural(created, 'job')} entered")
    if output == "table":
        also = f", {people.plural(taken, 'unique key')} taken" if taken else ""
        click.echo(f"{people.plural(created, 'job')} entered{also}")


def _enqueue_batch(
    session: verbs.Session, batch: Sequence[Line], jobs: Sequence[str]
) -> list[verbs.Row]:
    try:
        answer = verbs.rows(
            session, "enqueue_many", ["n", "id", "created"], jobs=f"[{','.join(jobs)}]"
        )
    except BadArgument as error:
        item = re.match(r"item (\d+): ", error.message)
        if item is None:
            raise
        message = f"line {batch[int(item[1]) - 1].number}: {error.message[item.end() :]}"
        raise BadArgument(message, error.detail) from None
    return [
        {"line": batch[job.pop("n") - 1].number, **job}
        for job in sorted(answer, key=lambda job: job["n"])
    ]


@contextmanager
def _point_of_return() -> Iterator[list[int]]:
    """Tells, when the work ends early, up to which line it is done."""
    reached = [0]
    try:
        yield reached
    except BaseException:
        if reached[0]:
            click.echo(
                f"pgq: entered up to line {reached[0]}; go on with line {reached[0] + 1}", err=True
            )
        raise
