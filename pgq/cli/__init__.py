"""The command `pgq`: its group, and the one place where errors become a line and an exit code."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import click
import psycopg

from pgq import database, errors
from pgq.cli import options

BUILT_IN = {
    "config": "pgq.cli.schema:config",
    "dead": "pgq.cli.dead:dead",
    "doctor": "pgq.cli.doctor:doctor",
    "enqueue": "pgq.cli.enqueue:enqueue",
    "explain": "pgq.cli.explain:explain",
    "job": "pgq.cli.job:job",
    "migrate": "pgq.cli.schema:migrate",
    "operation": "pgq.cli.operation:operation",
    "queue": "pgq.cli.queue:queue",
    "systemd": "pgq.cli.systemd:systemd",
    "token": "pgq.cli.token:token",
    "version": "pgq.cli.schema:version",
    "workers": "pgq.cli.workers:workers",
}
"""This package's commands; others come as entry points of the group `pgq.commands`."""

OK, FAILED, USAGE, NOT_FOUND, REFUSED, UNAVAILABLE, TIMED_OUT, WARNING, CRITICAL = range(9)
INTERRUPTED = 130

_EXIT_CODES: dict[type[errors.PgqError], int] = {
    errors.NoSuchJob: NOT_FOUND,
    errors.NoSuchQueue: NOT_FOUND,
    errors.NoSuchRecord: NOT_FOUND,
    errors.LeaseLost: REFUSED,
    errors.IllegalTransition: REFUSED,
    errors.SchemaMismatch: REFUSED,
    errors.Busy: REFUSED,
    errors.KeyReused: REFUSED,
    errors.BadArgument: USAGE,
    errors.ConfigError: USAGE,
    errors.TaskError: USAGE,
    errors.Unavailable: UNAVAILABLE,
    errors.WaitTimeout: TIMED_OUT,
}

_TOLD = (click.ClickException, click.Abort, errors.PgqError, psycopg.Error, OSError)
"""What becomes a line; anything else is a defect of ours, and shows as one."""

EPILOG = """\b
Exit codes:
  0    done
  1    failed
  2    a bad option, argument, setting or value
  3    no such job, queue, worker or token
  4    refused: the job's state, the schema's version, or somebody else is at it
  5    the database cannot be reached
  6    what was waited for did not happen in time
  7    pgq doctor found something to look at, or could not look
  8    pgq doctor found something that stops or endangers work
  130  interrupted
"""


class Commands(click.Group):
    """Subcommands that are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every name, sorted."""
        return sorted({*self.commands, *BUILT_IN, *entry_points(group="pgq.commands").names})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name, or None."""
        if cmd_name in BUILT_IN:
            module, _, attribute = BUILT_IN[cmd_name].partition(":")
            loaded = getattr(import_module(module), attribute)
        else:
            found = entry_points(group="pgq.commands", name=cmd_name)
            if not found:
                return super().get_command(ctx, cmd_name)
            loaded = _loaded(next(iter(found)))
        assert isinstance(loaded, click.Command)
        return loaded

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command line; the process ends with its exit code if in `standalone_mode`."""
        try:
            _check_words(sys.argv[1:] if args is None else args)
            code = super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        except _TOLD as error:
            if not standalone_mode:
                raise
            message, code = explained(error)
            click.echo(f"pgq: {message}", err=True)
        if not standalone_mode:
            return code
        sys.exit(code if isinstance(code, int) else OK)


def _loaded(found: EntryPoint) -> click.Command:
    """The command of another package; one that only says so when it cannot be had."""
    try:
        loaded = found.load()
    except Exception as error:
        why = f"{type(error).__name__}: {error}"
    else:
        if isinstance(loaded, click.Command):
            return loaded
        why = f"{found.value} is no click command"
    package = found.dist.name if found.dist else found.module

    def refuse(_: tuple[str, ...]) -> None:
        raise click.ClickException(
            f"the command {found.name} of {package} cannot be loaded ({why}); "
            "install that package again, or remove it"
        )

    return click.Command(
        found.name,
        callback=refuse,
        params=[click.Argument(["_"], nargs=-1, type=click.UNPROCESSED)],
        context_settings={"ignore_unknown_options": True},
        help="Cannot be loaded.",
        add_help_option=False,
    )


def _check_words(words: Sequence[str]) -> None:
    for word in words:
        try:
            word.encode()
        except UnicodeEncodeError:
            raise click.UsageError(f"{word!r} is not UTF-8") from None


def explained(error: Exception) -> tuple[str, int]:
    """One line for people, and the exit code."""
    if isinstance(error, click.Abort):
        return "interrupted", INTERRUPTED
    if isinstance(error, click.exceptions.NoArgsIsHelpError) and error.ctx:
        group, path = error.ctx.command, error.ctx.command_path
        names = group.list_commands(error.ctx) if isinstance(group, click.Group) else []
        return f"which command? {', '.join(names)}; see {path} --help", USAGE
    if isinstance(error, click.UsageError):
        line = _one_line(error.format_message()).rstrip(".")
        path = error.ctx.command_path if error.ctx else "pgq"
        return f"{line}; see {path} --help", USAGE
    if isinstance(error, click.ClickException):
        return _one_line(error.format_message()), error.exit_code
    if isinstance(error, psycopg.Error):
        known = database.translation(error)
        if known is None:
            parts = (error.diag.message_primary or str(error), error.diag.message_hint)
            line = _one_line(". ".join(part for part in parts if part))
            return line, USAGE if isinstance(error, psycopg.DataError) else FAILED
        error = known
    if isinstance(error, errors.DatabaseError):
        details = " ".join(part for part in (error.detail, error.hint) if part)
        line = f"{error.message}: {details}" if details else error.message
        return _one_line(line), _exit_code(error)
    return _one_line(str(error)), _exit_code(error)


def _exit_code(error: Exception) -> int:
    codes = (code for kind, code in _EXIT_CODES.items() if isinstance(error, kind))
    return next(codes, FAILED)


def _one_line(text: str) -> str:
    return " ".join(text.split())


@click.command(
    cls=Commands,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@options.dsn
def main() -> None:
    """A job queue that is only Postgres.

    The database is that of --dsn, DATABASE_URL or libpq's variables, else an embedded Postgres that
    runs while something uses it. `pgq config` shows all settings and where they come from.
    """
