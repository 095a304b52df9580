"""`pgq job wait`: until a job has ended."""

from __future__ import annotations

import time
from datetime import timedelta

import click

from pgq.cli import document, people, values, verbs
from pgq.cli import output as out
from pgq.cli.progress import Progress
from pgq.errors import JobFailed, WaitTimeout

ENDED = ("succeeded", "cancelled", "dead")


@click.command()
@click.argument("job_id", type=values.job_id, metavar="ID")
@click.option("--timeout", type=values.duration, help="Give up after this long; the job goes on.")
@out.option
def wait(job_id: int, timeout: timedelta | None, output: out.Format) -> None:
    """Wait until a job has ended, and print its result.

    Exits with 0 when it has succeeded, 1 when it is dead or cancelled, 6 when it has not ended in
    time.
    """
    with verbs.session() as session:
        job = _ended(session, job_id, timeout)
        content = document.content(session, job_id)
    if output == "json":
        out.write_one({**job, **content}, output=output)
    if job["state"] != "succeeded":
        raise JobFailed(job_id, job["state"], job["message"] or job["reason"])
    if output == "table" and (result := content.get("result")):
        click.echo(people.printable(str(result)))


def _ended(session: verbs.Session, job_id: int, timeout: timedelta | None) -> verbs.Row:
    started, pause = time.monotonic(), 0.01
    with Progress() as progress:
        while True:
            job = document.of(session, job_id)
            if job["state"] in ENDED:
                return job
            waited = time.monotonic() - started
            left = timeout.total_seconds() - waited if timeout is not None else pause
            if timeout is not None and left <= 0:
                raise WaitTimeout(
                    f"job {job_id} is {job['state']}: it did not end within "
                    f"{people.duration(timeout)}; it goes on"
                )
            progress.show(
                f"job {job_id} is {job['state']}, attempt {job['attempt']} of "
                f"{job['max_attempts']}, waited {waited:.0f} s"
            )
            time.sleep(min(pause, left))
            pause = min(1.0, pause * 1.3)
