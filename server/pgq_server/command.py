"""`pgq server`: the HTTP API and the dashboard, until it is told to stop."""

from __future__ import annotations

import click

from pgq import config, otlp
from pgq.cli import options
from pgq_server import process
from pgq_server.settings import Settings


@click.command()
@options.dsn
@options.setting("server.host")
@options.setting("server.port", "-p")
@options.setting("server.prefix")
@options.setting("server.require_token")
@options.setting("server.allowed_hosts", "--allowed-host")
@options.setting("server.body_limit")
@options.setting("server.waiting")
@options.setting("server.tls_certificate")
@options.setting("server.tls_key")
@options.setting("server.pool")
@options.setting("server.grace")
def server() -> None:
    """Serve the HTTP API and the dashboard.

    On a loopback address no token is asked for, unless --require-token or --prefix is given. It
    refuses to listen elsewhere while there is no token; `pgq token create` makes one.

    Elsewhere, the dashboard needs HTTPS, since its cookie is kept for no other: --tls-certificate
    and --tls-key, or a proxy that speaks TLS in front of a loopback address, with --prefix or
    --require-token.

    SIGTERM or ^C stops it in good order. It keeps nothing of its own: any number may serve one
    database.
    """
    found = options.load()
    settings = Settings(dsn=config.dsn(found), **dict(found.server))
    process.check(settings)
    for warning in process.warnings(settings):
        click.echo(f"pgq: {warning}", err=True)
    otlp.warn()
    with process.listen(settings) as listening:
        click.echo(f"pgq serves {process.url(settings, listening)}")
        process.server(settings).run(sockets=[listening])
