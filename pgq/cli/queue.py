"""`pgq queue`: how queues stand, whether they run, and what they have of their own."""

from __future__ import annotations

from typing import Any

import click

from pgq.cli import errands, people, values, verbs
from pgq.cli import output as out

_LISTED = (
    "queue", "paused_at", "scheduled", "ready", "running", "retrying", "dead", "succeeded",
    "cancelled", "workers", "max_attempts", "timeout",
)  # fmt: skip
_COLUMNS = {
    "queue": "queue",
    "paused": "paused",
    "scheduled": "scheduled",
    "ready": "ready",
    "running": "running",
    "retrying": "retrying",
    "dead": "dead",
    "succeeded": "succeeded",
    "workers": "workers",
}
_SETTINGS = (
    "max_attempts", "timeout", "backoff_base", "backoff_max", "payload_limit", "keep_finished",
    "keep_dead", "unknown_task_after",
)  # fmt: skip
_names = click.argument("queues", nargs=-1, required=True, metavar="QUEUE...")


@click.group()
def queue() -> None:
    """Look at queues, pause and resume them, and change their settings."""


@queue.command("list")
@out.option
def list_(output: out.Format) -> None:
    """Queues, and their jobs by state.

    Those that ever had a job or have settings. Succeeded is a total since the installation.
    """
    with verbs.session() as session:
        queues = verbs.rows(session, "list_queues", _LISTED)
        now = verbs.now(session)
    if output == "json":
        out.write(queues, _LISTED, output=output)
        return
    for each in queues:
        each["paused"] = each["paused_at"] or "no"
    people.table(queues, _COLUMNS, now=now, widths={"queue": 24})


@queue.command()
@_names
@out.option
def pause(queues: tuple[str, ...], output: out.Format) -> None:
    """Let no more jobs of these queues start.

    Those that run go on.
    """

    def errand(session: verbs.Session, name: str) -> str:
        return "paused" if verbs.value(session, "pause", queue=name) else "unchanged"

    phrases = {"unchanged": "was paused already"}
    errands.run(queues, errand, noun="queue", output=output, phrases=phrases)


@queue.command()
@_names
@out.option
def resume(queues: tuple[str, ...], output: out.Format) -> None:
    """Let jobs of these queues start again."""

    def errand(session: verbs.Session, name: str) -> str:
        return "resumed" if verbs.value(session, "resume", queue=name) else "unchanged"

    phrases = {"unchanged": "was not paused"}
    errands.run(queues, errand, noun="queue", output=output, phrases=phrases)


@queue.command("set")
@click.argument("queue_name", metavar="QUEUE")
@click.option("--max-attempts", type=click.IntRange(1, 32767))
@click.option("--timeout", type=values.duration, help="Of an attempt.")
@click.option("--backoff-base", type=values.duration, help="Doubles with each attempt.")
@click.option("--backoff-max", type=values.duration, help="Longest time between two attempts.")
@click.option("--payload-limit", type=click.IntRange(1, 1_073_741_823), help="Bytes.")
@click.option("--keep-finished", type=values.duration)
@click.option("--keep-dead", type=values.duration)
@click.option(
    "--unknown-task-after", type=values.duration, help="Until a task that no worker knows is dead."
)
@click.option(
    "--reset", type=click.Choice(_SETTINGS), multiple=True, help="Back to the service's value."
)
@out.option
def set_(queue_name: str, reset: tuple[str, ...], output: out.Format, **settings: Any) -> None:
    """Change a queue's settings.

    What is not given stays. A queue can have settings before its first job.
    """
    changes = {name: value for name, value in settings.items() if value is not None}
    if not changes and not reset:
        raise click.UsageError("nothing to change; give a setting or --reset")

    def errand(session: verbs.Session, name: str) -> str:
        verbs.value(session, "configure_queue", queue=name, reset=list(reset), **changes)
        return "changed"

    errands.run([queue_name], errand, noun="queue", output=output)
