"""`pgq workers`: who runs jobs, and who is to take no more of them."""

from __future__ import annotations

import click

from pgq.cli import errands, people, verbs
from pgq.cli import output as out

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


@click.group(invoke_without_command=True)
@out.option
@click.pass_context
def workers(ctx: click.Context, output: out.Format) -> None:
    """List workers, and those that went lately (offline)."""
    if ctx.invoked_subcommand is not None:
        return
    with verbs.session() as session:
        found = verbs.rows(session, "list_workers", _LISTED)
        now = verbs.now(session)
    if output == "json":
        out.write(found, _LISTED, output=output)
        return
    for each in found:
        each["load"] = f"{each['busy']}/{each['slots']}"
    people.table(found, _COLUMNS, now=now, widths={"name": 28, "queues": 24})


@workers.command()
@click.argument("ids", nargs=-1, required=True, type=click.IntRange(1, 2**63 - 1), metavar="ID...")
@click.option("--off", is_flag=True, help="Take jobs again.")
@out.option
def drain(ids: tuple[int, ...], off: bool, output: out.Format) -> None:
    """Have workers take no more jobs.

    They finish what they have and stay until draining is switched off or they are stopped.
    """

    def errand(session: verbs.Session, worker: int) -> str:
        if not verbs.value(session, "drain", worker=worker, on=not off):
            return "unchanged"
        return "resumed" if off else "draining"

    phrases = {
        "unchanged": "was not draining" if off else "was draining already",
        "draining": "takes no more jobs",
        "resumed": "takes jobs again",
    }
    errands.run(ids, errand, noun="worker", output=output, phrases=phrases)
