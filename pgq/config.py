"""Settings, read once at the edge.

The environment is read here and nowhere else: `DATABASE_URL`, libpq's own variables, and `PGQ_*`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from pgq import database
from pgq.errors import ConfigError
from pgq.postgres import Postgres

LIBPQ = ("PGHOST", "PGHOSTADDR", "PGPORT", "PGDATABASE", "PGSERVICE")
"""Variables of libpq's that name a database."""


def default_data_dir() -> Path:
    """Where the embedded Postgres keeps its data; for root below /var, which others can reach."""
    if os.geteuid() == 0:
        return Path("/var/lib/pgq")
    if sys.platform == "darwin":
        return Path.home() / "Library/Application Support/pgq"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share") / "pgq"


class Settings(BaseSettings):
    """What the environment says. Frozen; `load` makes it."""

    model_config = SettingsConfigDict(
        frozen=True,
        case_sensitive=True,
        env_ignore_empty=True,
        extra="ignore",
        hide_input_in_errors=True,
    )

    database_url: str | None = Field(
        default=None,
        validation_alias="DATABASE_URL",
        repr=False,
        description="The database. Empty: libpq's variables name it. None: the embedded Postgres.",
    )
    listen_url: str | None = Field(
        default=None,
        validation_alias="PGQ_LISTEN_URL",
        repr=False,
        description="A direct connection for LISTEN, when the database is behind a pooler.",
    )
    data_dir: Path = Field(
        default_factory=default_data_dir,
        validation_alias="PGQ_DATA_DIR",
        description="Where the embedded Postgres keeps its data.",
    )
    bin_dir: Path | None = Field(
        default=None,
        validation_alias="PGQ_POSTGRES_BIN",
        description="Folder of initdb and pg_ctl for the embedded Postgres.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info",
        validation_alias="PGQ_LOG_LEVEL",
        description="Least level that is logged.",
    )
    log_format: Literal["text", "json"] = Field(
        default="text",
        validation_alias="PGQ_LOG_FORMAT",
        description="A line for people or an object for programs.",
    )


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return str(Settings.model_fields[name].validation_alias)


def load() -> Settings:
    """Read the environment. Raises `ConfigError` naming the variable and what was expected."""
    try:
        settings = Settings()
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        raise ConfigError(f"{first['loc'][0]}: {first['msg']}") from None
    if settings.database_url is None and any(os.environ.get(name) for name in LIBPQ):
        settings = settings.model_copy(update={"database_url": ""})
    for url in (settings.database_url, settings.listen_url):
        if url:
            database.parse(url)
    return settings


def origin(name: str) -> str:
    """Where a setting's value comes from: a variable's name, or `default`."""
    candidates = (variable(name), *(LIBPQ if name == "database_url" else ()))
    return next((key for key in candidates if os.environ.get(key)), "default")


_embedded: dict[Path, Postgres] = {}


def dsn(settings: Settings) -> str:
    """The database to use. Starts the embedded Postgres when nothing is configured.

    It runs for as long as any process that asked for it, and stops after the last.
    """
    if settings.database_url is not None:
        return settings.database_url
    if settings.data_dir not in _embedded:
        server = Postgres(settings.data_dir, bin_dir=settings.bin_dir)
        server.start()
        _embedded[settings.data_dir] = server
    return _embedded[settings.data_dir].dsn
