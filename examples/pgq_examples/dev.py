"""`pgq dev`: everything that is needed to see a job run, until interrupted."""

from __future__ import annotations

import shlex
import shutil
import socket

import click

from pgq import binaries, config, schema
from pgq.cli import options
from pgq.config import Settings
from pgq.errors import ConfigError, SchemaMismatch
from pgq_server import process
from pgq_server import settings as server
from pgq_worker import command
from pgq_worker.plan import Plan, parse_queues

PORT = 8080
APP = "pgq_examples.tasks:app"
INSERT = "insert into pgq.job (task, payload) values ('echo', '[42]')"


@click.command()
@options.dsn
@click.option(
    "-a", "--app", default=APP, show_default=True, metavar="MODULE:NAME", help="The app to run."
)
@click.option(
    "-q", "--queues", default="default", show_default=True, metavar="NAME[=N],…", help="Its queues."
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    help="Where the dashboard and the HTTP API are, on loopback; 0 for any that is free.  "
    "[default: 8080, or one that is free]",
)
@click.option("--processes", type=click.IntRange(min=1), default=1, show_default=True)
def dev(app: str, queues: str, port: int | None, processes: int) -> None:
    """Start Postgres, install the schema, run a worker and the dashboard, until interrupted.

    The database is that of --dsn, DATABASE_URL or libpq's variables, else an embedded Postgres,
    which keeps its data and stops with this command, however that ends.
    """
    settings = options.load()
    form = options.configure_logs(settings.model_copy(update={"log_format": "text"}))
    dsn = config.dsn(settings)
    plan = Plan(
        app=app,
        dsn=dsn,
        listen_dsn=settings.listen_url,
        queues=parse_queues(queues),
        processes=processes,
        grace=2.0,
        log_level=settings.log_level,
        log_format=form,
    )
    _migrate(settings, dsn)
    served = server.Settings(dsn=dsn, port=PORT if port is None else port)
    with _listening(served, anywhere=port is None) as listening, process.beside(served, listening):
        click.echo(welcome(settings, dsn, process.url(served, listening)))
        command.run(plan)


def _migrate(settings: Settings, dsn: str) -> None:
    try:
        schema.migrate(dsn)
    except SchemaMismatch as error:
        if settings.database_url is None:
            error.hint = (
                f"Delete {settings.data_dir} with all its jobs, or name another folder by "
                "PGQ_DATA_DIR."
            )
        raise


def _listening(served: server.Settings, *, anywhere: bool) -> socket.socket:
    try:
        return process.listen(served)
    except ConfigError:
        if not anywhere:
            raise
    return process.listen(served.model_copy(update={"port": 0}))


def welcome(settings: Settings, dsn: str, dashboard: str) -> str:
    """What to paste into another terminal."""
    url = '"$DATABASE_URL"' if settings.database_url else shlex.quote(dsn)
    database = dsn if settings.database_url is None else "that of your environment"
    psql = f"{_psql(settings)} {url}".rstrip() if dsn else _psql(settings)
    return "\n".join(
        [
            f"The dashboard is {dashboard}",
            f"The database is {database}.",
            "In another terminal:",
            "",
            f'    {psql} -c "{INSERT}"',
            "",
            "Its job runs here. ^C stops everything.",
        ]
    )


def _psql(settings: Settings) -> str:
    if shutil.which("psql"):
        return "psql"
    folders = [settings.postgres_bin] if settings.postgres_bin else binaries.candidates()
    return next(
        (shlex.quote(str(folder / "psql")) for folder in folders if (folder / "psql").exists()),
        "psql",
    )
