"""`pgq server`: the HTTP API and the dashboard, until it is told to stop."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal

import click

from pgq import config
from pgq_server import logs, process
from pgq_server.settings import BODY_LIMIT, Settings


@click.command()
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Address to listen on, or a name."
)
@click.option(
    "-p",
    "--port",
    type=click.IntRange(0, 65535),
    default=8080,
    show_default=True,
    help="Port to listen on; 0 for any that is free.",
)
@click.option(
    "--prefix", default="", metavar="PATH", help="Path below which a proxy shows the server."
)
@click.option(
    "--require-token", is_flag=True, help="Ask for a token on loopback too; implied by --prefix."
)
@click.option(
    "--allowed-host",
    "allowed_hosts",
    multiple=True,
    metavar="NAME",
    help="Name in the Host header that is answered; may be repeated.  [default: any]",
)
@click.option(
    "--body-limit",
    type=click.IntRange(min=1024),
    default=BODY_LIMIT,
    show_default=True,
    metavar="BYTES",
    help="Largest body of a request.",
)
@click.option("--tls-certificate", type=click.Path(path_type=Path), metavar="FILE", help="PEM.")
@click.option("--tls-key", type=click.Path(path_type=Path), metavar="FILE", help="PEM.")
@click.option(
    "--pool",
    type=click.IntRange(min=2),
    default=10,
    show_default=True,
    metavar="N",
    help="Most sessions with the database.",
)
@click.option(
    "--grace",
    type=click.FloatRange(min=0),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="What running requests get when the server is told to stop.",
)
def server(
    host: str,
    port: int,
    prefix: str,
    require_token: bool,
    allowed_hosts: tuple[str, ...],
    body_limit: int,
    tls_certificate: Path | None,
    tls_key: Path | None,
    pool: int,
    grace: float,
) -> None:
    """Serve the HTTP API and the dashboard.

    On a loopback address no token is asked for, unless --require-token or --prefix is given. It
    refuses to listen elsewhere while there is no token; `pgq token create` makes one.

    SIGTERM or ^C stops it in good order. It keeps nothing of its own: any number may serve one
    database.
    """
    found = config.load()
    form: Literal["text", "json"] = found.log_format
    if config.origin("log_format") == "default":
        form = "text" if sys.stderr.isatty() else "json"
    logs.configure(found.log_level, form)
    settings = Settings(
        dsn=config.dsn(found),
        host=host,
        port=port,
        prefix=prefix,
        body_limit=body_limit,
        require_token=require_token,
        allowed_hosts=tuple(name.lower() for name in allowed_hosts),
        tls_certificate=tls_certificate,
        tls_key=tls_key,
        pool=pool,
        grace=grace,
    )
    process.check(settings)
    with process.listen(settings) as listening:
        click.echo(f"pgq serves {process.url(settings, listening)}")
        process.server(settings).run(sockets=[listening])
