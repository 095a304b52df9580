"""`pgq worker`: runs jobs until it is told to stop."""

from __future__ import annotations

import sys
from typing import Literal

import anyio
import click

from pgq import config
from pgq.errors import ConfigError, PgqError, SchemaMismatch
from pgq_worker import logs
from pgq_worker.plan import CONCURRENCY, Plan, parse_queues
from pgq_worker.sd_notify import Notifier


@click.command()
@click.option(
    "-a", "--app", required=True, metavar="MODULE:NAME", help="The app, as in shop.jobs:app."
)
@click.option(
    "-q",
    "--queues",
    "queues",
    multiple=True,
    metavar="NAME[=N],…",
    help="Queues to take jobs from, each with the most that run at once over all processes. "
    "[default: default]",
)
@click.option(
    "-p", "--processes", default=1, show_default=True, metavar="N", help="Processes that run jobs."
)
@click.option(
    "-c",
    "--concurrency",
    default=CONCURRENCY,
    show_default=True,
    metavar="N",
    help="Jobs at once in each process.",
)
@click.option(
    "--grace",
    type=click.FloatRange(min=0),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="What running jobs get when the worker is told to stop.",
)
@click.option("--name", default="", metavar="NAME", help="Name of the worker. [default: host:pid]")
@click.option(
    "--pooled",
    is_flag=True,
    help="The database is behind a pooler in transaction mode; implied by PGQ_LISTEN_URL.",
)
def worker(
    app: str,
    queues: tuple[str, ...],
    processes: int,
    concurrency: int,
    grace: float,
    name: str,
    pooled: bool,
) -> None:
    """Run the jobs of an app.

    SIGTERM or ^C stops it in good order: it takes no more jobs, lets running ones end for the grace
    period, and gives the rest back. A second one stops it at once.
    """
    settings = config.load()
    form: Literal["text", "json"] = settings.log_format
    if config.origin("log_format") == "default":
        form = "text" if sys.stderr.isatty() else "json"
    logs.configure(settings.log_level, form)
    plan = Plan(
        app=app,
        dsn=config.dsn(settings),
        listen_dsn=settings.listen_url,
        queues=parse_queues(",".join(queues) or "default"),
        processes=processes,
        concurrency=concurrency,
        grace=grace,
        name=name,
        pooled=pooled or settings.listen_url is not None,
        log_level=settings.log_level,
        log_format=form,
    )
    run(plan)


def run(plan: Plan) -> None:
    """Run a worker until it is told to stop. Raises `PgqError` when it cannot start."""
    try:
        anyio.run(_supervise, plan, backend_options={"use_uvloop": True})
    except* PgqError as group:
        raise _first(group) from None


async def _supervise(plan: Plan) -> None:
    from pgq_worker.supervisor import Supervisor

    await Supervisor(plan, notifier=Notifier.from_environment(), check=check_version).run()


def check_version(found: int) -> None:
    """Refuse a schema that is older than this program, which would miss functions."""
    from pgq.schema import VERSION

    if found < VERSION:
        raise SchemaMismatch(
            f"the database has version {found} of the schema, this worker needs {VERSION}",
            hint="Run `pgq migrate`.",
        )


def _first(group: BaseExceptionGroup[PgqError]) -> PgqError:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error if isinstance(error, PgqError) else ConfigError(str(error))
