"""`pgq demo`."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from pgq import config
from pgq.cli import options
from pgq.cli import output as out
from pgq.errors import PgqError
from pgq_examples.demo import acts, stage
from pgq_examples.demo.stage import Check

ACTS = (
    acts.thousand,
    acts.retries,
    acts.dead_letter,
    acts.scheduled,
    acts.killed,
    acts.late,
    acts.everything,
)


@click.command()
@options.dsn
def demo() -> None:
    """Run a thousand jobs on real workers, kill one of them, and check what came of it.

    It plays in a database of its own, on the server of --dsn, DATABASE_URL or libpq's variables if
    any, else on a Postgres that is thrown away. Exits with 1 when anything is not as it should be.
    """
    settings = options.load()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "workers.log"
        try:
            checks = _played(settings, log)
        except PgqError:
            if log.exists():
                click.echo(log.read_text(errors="replace"), err=True, nl=False)
            raise
    rows = [
        {
            "agrees": check.agrees,
            "what": check.what,
            "should": check.expected,
            "did": "the same" if check.agrees else check.happened,
        }
        for check in checks
    ]
    click.echo()
    out.write(rows, ["agrees", "what", "should", "did"], output="table")
    wrong = sum(not check.agrees for check in checks)
    if wrong:
        raise click.ClickException(f"{wrong} of {len(checks)} were not as they should be")
    click.echo(f"\nAll {len(checks)} as they should be.")


def _played(settings: config.Settings, log: Path) -> list[Check]:
    click.echo("starting Postgres and three workers …")
    with stage.opened(settings.database_url, bin_dir=settings.postgres_bin, log=log) as scene:
        scene.say("anna, bert and carl are up")
        # Each act begins, and goes on when all of them have begun.
        acting = [act(scene) for act in ACTS]
        checks = [next(act) for act in acting]
        checks += [check for act in acting for check in act]
    return [check for check in checks if check]
