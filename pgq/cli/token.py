"""`pgq token`: who may call the service."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta
from typing import Any

import click

from pgq.cli import errands, people, values, verbs
from pgq.cli import output as out

_SCOPES = ("enqueue", "work", "view", "operate", "admin")
_LISTED = (
    "id", "name", "scopes", "queues", "created_at", "expires_at", "last_used_at", "revoked_at",
)  # fmt: skip
_COLUMNS = {
    "id": "id",
    "name": "name",
    "scopes": "scopes",
    "reach": "queues",
    "created_at": "created",
    "last_used_at": "used",
    "standing": "stands",
}
_ids = click.argument(
    "ids", nargs=-1, required=True, type=click.IntRange(1, 2**63 - 1), metavar="ID..."
)


@click.group()
def token() -> None:
    """Let programs and people call the service, and stop them."""


@token.command()
@click.argument("name")
@click.option(
    "-s",
    "--scope",
    "scopes",
    type=click.Choice(_SCOPES),
    multiple=True,
    required=True,
    help="What it may do; repeat for several.",
)
@click.option(
    "-q",
    "--queue",
    "queues",
    multiple=True,
    metavar="QUEUE",
    help="Only in this queue; repeat for several. [default: all]",
)
@click.option("--expires-in", type=values.duration, help="As 90d. [default: never]")
@out.option
def create(
    name: str,
    scopes: tuple[str, ...],
    queues: tuple[str, ...],
    expires_in: timedelta | None,
    output: out.Format,
) -> None:
    """Make a token and print its secret, which is shown only this once.

    \b
    Scopes:
      enqueue  make jobs and wait for them
      work     claim jobs and say what came of them
      view     read everything
      operate  view, and change jobs, queues and workers
      admin    all of these

    The database keeps a hash of the secret. NAME tells people who or what has it.
    """
    secret = f"pgq_{secrets.token_urlsafe(32)}"
    with verbs.session() as session:
        made = verbs.value(
            session,
            "create_token",
            name=name,
            hash=hashlib.sha256(secret.encode()).digest(),
            scopes=list(scopes),
            queues=list(queues) or None,
            expires_in=expires_in,
        )
    if output == "json":
        out.write_one({"id": made, "name": name, "token": secret}, output=output)
        return
    click.echo(f"token {made} of {out.shown(name)}; nobody can show it again:", err=True)
    click.echo(secret)


@token.command("list")
@out.option
def list_(output: out.Format) -> None:
    """Tokens, with those that are revoked or expired."""
    with verbs.session() as session:
        tokens = verbs.rows(session, "list_tokens", _LISTED)
        now = verbs.now(session)
    if output == "json":
        out.write(tokens, _LISTED, output=output)
        return
    for each in tokens:
        each["reach"] = each["queues"] or "all"
        each["standing"] = _standing(each, now)
    people.table(tokens, _COLUMNS, now=now, widths={"name": 20, "reach": 20})


@token.command()
@_ids
@out.option
def revoke(ids: tuple[int, ...], output: out.Format) -> None:
    """End tokens for good; servers notice within a second."""

    def errand(session: verbs.Session, number: int) -> str:
        return "revoked" if verbs.value(session, "revoke_token", id=number) else "unchanged"

    errands.run(
        ids, errand, noun="token", output=output, phrases={"unchanged": "was revoked already"}
    )


def _standing(row: dict[str, Any], now: datetime) -> str:
    if row["revoked_at"]:
        return "revoked"
    if row["expires_at"] is None:
        return "valid"
    if row["expires_at"] <= now:
        return "expired"
    return f"ends {people.age(row['expires_at'], now=now)}"
