"""Options that set a setting, and the settings of a command line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click
from pydantic.fields import FieldInfo

from pgq import config, database, logs, otlp
from pgq.config import Settings

_GIVEN = "pgq.options"

_Command = TypeVar("_Command", bound=Callable[..., Any])


def load() -> Settings:
    """The settings, with the options of this command line; the log is as they say from here on.

    Raises `ConfigError`.
    """
    logs.configure("info", "auto")
    settings = config.load(given())
    configure_logs(settings)
    return settings


def configure_logs(settings: Settings) -> logs.Format:
    """Log as the settings say, and their passwords never."""
    passwords = database.passwords(settings.database_url, settings.listen_url)
    secrets = [*passwords, *otlp.secrets()]
    return logs.configure(settings.log_level, settings.log_format, secrets=secrets)


def given() -> dict[str, Any]:
    """Options of this command line that set settings, by the settings' names."""
    context = click.get_current_context(silent=True)
    return {} if context is None else context.meta.setdefault(_GIVEN, {})


def dsn(command: _Command) -> _Command:
    """Adds `--dsn`."""
    decorate = click.option(
        "--dsn",
        metavar="URL",
        expose_value=False,
        callback=_keeper("database_url"),
        help="The database, before DATABASE_URL and libpq's variables.",
    )
    return decorate(command)


def setting(name: str, *flags: str) -> Callable[[_Command], _Command]:
    """Adds the option of a setting, such as `server.port`; `load` has its value."""
    field = config.field(name)
    kind: dict[str, Any] = {"metavar": _metavar(field)}
    if field.annotation is bool:
        kind = {"is_flag": True, "flag_value": True}
    elif "tuple" in str(field.annotation):
        kind["multiple"] = True
    long = f"--{name.rpartition('.')[2].replace('_', '-')}"

    def decorate(command: _Command) -> _Command:
        option = click.option(
            *flags,
            *(() if any(flag.startswith("--") for flag in flags) else (long,)),
            name.replace(".", "_"),
            default=None,
            expose_value=False,
            callback=_keeper(name),
            help=f"{field.description}{_default(field)}",
            **kind,
        )
        return option(command)

    return decorate


def _keeper(name: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def keep(context: click.Context, _: click.Parameter, value: Any) -> None:
        if value not in (None, ()):
            context.meta.setdefault(_GIVEN, {})[name] = value

    return keep


def _metavar(field: FieldInfo) -> str:
    kinds = {int: "N", float: "SECONDS"}
    if isinstance(field.annotation, type) and field.annotation in kinds:
        return kinds[field.annotation]
    return "FILE" if "Path" in str(field.annotation) else "TEXT"


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    if isinstance(value, tuple):
        value = ",".join(value)
    if value in (None, "") or value is False:
        return ""
    return f"  [default: {value:g}]" if isinstance(value, float) else f"  [default: {value}]"
