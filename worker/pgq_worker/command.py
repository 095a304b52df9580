"""`pgq worker`: runs jobs until it is told to stop."""

from __future__ import annotations

import anyio
import click

from pgq import config, otlp
from pgq.cli import options
from pgq.errors import ConfigError, PgqError, SchemaMismatch
from pgq.sd_notify import Notifier
from pgq_worker.plan import Plan, parse_queues


@click.command()
@options.dsn
@options.setting("worker.app", "-a")
@options.setting("worker.queues", "-q")
@options.setting("worker.processes", "-p")
@options.setting("worker.concurrency", "-c")
@options.setting("worker.grace")
@options.setting("worker.name")
@options.setting("worker.metrics_host")
@options.setting("worker.metrics_port")
def worker() -> None:
    """Run the jobs of an app.

    SIGTERM or ^C stops it in good order: it takes no more jobs, lets running ones end for the grace
    period, and gives the rest back. A second one stops it at once.
    """
    settings = options.load()
    told = settings.worker
    if told.app is None:
        raise ConfigError(
            "there is no app; name it with --app MODULE:NAME, PGQ_WORKER_APP, or app below "
            "[worker] in pgq.toml"
        )
    plan = Plan(
        app=told.app,
        dsn=config.dsn(settings),
        listen_dsn=settings.listen_url,
        queues=parse_queues(",".join(told.queues)),
        processes=told.processes,
        concurrency=told.concurrency,
        grace=told.grace,
        name=told.name,
        log_level=settings.log_level,
        log_format=options.configure_logs(settings),
        metrics_host=told.metrics_host,
        metrics_port=told.metrics_port,
    )
    otlp.warn()
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
