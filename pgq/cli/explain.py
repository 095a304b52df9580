"""`pgq explain`: why a job is not running."""

from __future__ import annotations

import click

from pgq.cli import output as out
from pgq.cli import values, verbs


@click.command()
@click.argument("job_id", type=values.job_id, metavar="ID")
@out.option
def explain(job_id: int, output: out.Format) -> None:
    """Why a job is not running now: a line for each reason."""
    columns = ["reason", "detail"]
    with verbs.session() as session:
        out.write(verbs.rows(session, "explain", columns, id=job_id), columns, output=output)
