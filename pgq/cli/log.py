"""`pgq job logs`: what a job said."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import click

from pgq.cli import document, people, values, verbs
from pgq.cli import output as out
from pgq.cli.wait import ENDED

_FIELDS = ("n", "attempt", "at", "level", "message", "progress")
_PAGE = 1000
_PAUSE = 0.25
"""Seconds between two looks at a log that is followed."""


@click.command()
@click.argument("job_id", type=values.job_id, metavar="ID")
@click.option("-f", "--follow", is_flag=True, help="Go on with new lines until the job has ended.")
@out.option
def logs(job_id: int, follow: bool, output: out.Format) -> None:
    """Print what a job has logged.

    With -o json each line is an object on a line of its own.
    """
    with verbs.session() as session:
        for line in _lines(session, job_id, follow=follow):
            click.echo(_json(line) if output == "json" else _text(line))


def _lines(session: verbs.Session, job_id: int, *, follow: bool) -> Iterator[verbs.Row]:
    after = 0
    while True:
        # Asked before the lines are read: what the job logged until its end is then among them.
        ended = document.of(session, job_id)["state"] in ENDED
        while page := verbs.rows(
            session, "list_logs", _FIELDS, id=job_id, after=after, limit=_PAGE
        ):
            yield from page
            after = page[-1]["n"]
        if ended or not follow:
            return
        time.sleep(_PAUSE)


def _json(line: verbs.Row) -> str:
    return json.dumps({**line, "at": line["at"].isoformat()}, ensure_ascii=False)


def _text(line: verbs.Row) -> str:
    clock = f"{line['at'].astimezone():%Y-%m-%d %H:%M:%S.%f}"[:-3]
    share = "" if line["progress"] is None else f"[{line['progress']:.0%}] "
    head = f"{clock} #{line['attempt']} {line['level']:<8} {share}"
    return head + people.printable(line["message"]).replace("\n", f"\n{' ' * len(head)}")
