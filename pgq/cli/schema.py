"""Commands about the installation: its schema, its version, its settings."""

from __future__ import annotations

from importlib import metadata
from operator import attrgetter
from typing import Any

import click

from pgq import config as configuration
from pgq import database, errors, schema, sources
from pgq.cli import options
from pgq.cli import output as out


@click.command()
@options.dsn
@click.option("--sql", "as_sql", is_flag=True, help="Print the SQL instead, for psql to run.")
def migrate(as_sql: bool) -> None:
    """Install the schema in the database, or bring it to this release's version.

    Safe to run again, by many at once, and while workers work: where a table is in use it gives
    way and tries again, for ten minutes.
    """
    if as_sql:
        click.echo(schema.script())
        return
    report = schema.migrate(configuration.dsn(options.load()), on_wait=_tell)
    for warning in report.warnings:
        click.echo(f"pgq: {warning}", err=True)
    if report.applied:
        click.echo(f"schema pgq: version {report.before} to {report.after}")
    else:
        click.echo(f"schema pgq: version {report.after}, functions replaced")


def _tell(holder: str) -> None:
    click.echo(f"pgq: gave way to {holder}", err=True)


@click.command()
@out.option
def version(output: out.Format) -> None:
    """Versions of the program, of the schema it brings, and of the one in the database."""
    dsn = configuration.dsn(options.load())
    with database.connect(dsn) as session:
        try:
            with database.translated():
                (installed,) = database.fetch_one(session, "select pgq.version()")
        except errors.SchemaMismatch:
            installed = None
        (server,) = database.fetch_one(session, "show server_version")
    row = {
        "program": metadata.version("pgq-service"),
        "schema": schema.VERSION,
        "installed": installed,
        "postgres": server,
    }
    out.write_one(row, output=output)


@click.command()
@options.dsn
@out.option
def config(output: out.Format) -> None:
    """Every setting, its value, and where that comes from; passwords are masked.

    Options of the command line come first, then the environment, .env, pgq.toml (or the file that
    PGQ_CONFIG names), and the default. For the database: --dsn, DATABASE_URL, libpq's variables.
    """
    settings = options.load()
    origins = configuration.origins(options.given())
    rows = []
    for name in configuration.names():
        value: Any = attrgetter(name)(settings)
        if configuration.is_secret(name) and value:
            value = database.shown(value)
        rows.append(
            {
                "setting": name,
                "value": value,
                "variable": configuration.variable(name),
                "origin": origins[name],
                "description": configuration.field(name).description,
            }
        )
    columns = ["setting", "value", "variable", "origin", "description"]
    out.write(rows, columns, output=output)
    for stranger in sources.strangers(configuration.variables()):
        click.echo(f"pgq: {stranger} is set and is no setting", err=True)
