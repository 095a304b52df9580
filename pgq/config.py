"""Settings, read once at the edge: what they are, and where each one comes from.

Options of the command line come first, then the environment, `.env`, `pgq.toml`, and what a setting
is unless told. Nothing else reads these places.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
)
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from pgq import database, sources
from pgq.errors import ConfigError
from pgq.postgres import Postgres
from pgq.sources import Layer

LIBPQ = ("PGHOST", "PGHOSTADDR", "PGPORT", "PGDATABASE", "PGSERVICE")
"""Variables of libpq's that name a database."""


SHARED_DATA_DIR = Path("/var/lib/pgq")


def default_data_dir() -> Path:
    """Where the embedded Postgres keeps its data; below /var for root, since others can reach that,
    and for a user without a home."""
    try:
        home = Path.home()
    except RuntimeError:
        return SHARED_DATA_DIR
    if os.geteuid() == 0:
        return SHARED_DATA_DIR
    if sys.platform == "darwin":
        return home / "Library/Application Support/pgq"
    return Path(os.environ.get("XDG_DATA_HOME") or home / ".local/share") / "pgq"


def _split(value: Any) -> Any:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list | tuple) or not all(isinstance(text, str) for text in texts):
        return value
    return [part for text in texts for part in text.split(",")]


_parts = BeforeValidator(_split)
"""A list, or its parts with commas between them."""
Part = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Host = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, to_lower=True)]


class Section(BaseModel):
    """Settings that belong together."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Server(Section):
    """Settings of `pgq server`."""

    host: str = Field(default="127.0.0.1", description="Address to listen on, or a name.")
    port: int = Field(
        default=8080, ge=0, le=65535, description="Port to listen on; 0 for any free one."
    )
    prefix: str = Field(
        default="",
        description="Path below which a proxy shows the server, as the browser sees it: /queue.",
    )
    require_token: bool = Field(
        default=False, description="Ask for a token on loopback too; implied by a prefix."
    )
    allowed_hosts: Annotated[tuple[Host, ...], _parts] = Field(
        default=(), description="Names in the Host header that are answered; none: any."
    )
    body_limit: int = Field(
        default=1024 * 1024, ge=1024, description="Bytes; largest body of a request."
    )
    waiting: int = Field(
        default=10_000,
        ge=1,
        le=10_000,
        description="Most requests that wait for something, and as many open event streams; who "
        "comes then gets 429.",
    )
    tls_certificate: Path | None = Field(default=None, description="A file in PEM format.")
    tls_key: Path | None = Field(default=None, description="A file in PEM format.")
    pool: int = Field(default=10, ge=2, description="Most sessions with the database.")
    grace: float = Field(
        default=10.0,
        ge=0,
        allow_inf_nan=False,
        description="Seconds that running requests get when the server is told to stop.",
    )


class Worker(Section):
    """Settings of `pgq worker`."""

    app: str | None = Field(default=None, description="The app, MODULE:NAME, as in shop.jobs:app.")
    queues: Annotated[tuple[Part, ...], _parts] = Field(
        default=("default",),
        description="Queues to take jobs from, NAME[=N],…; N is the most of it that run at once "
        "over all processes.",
    )
    processes: int = Field(default=1, ge=1, le=5000, description="Processes that run jobs.")
    concurrency: int = Field(default=16, ge=1, le=5000, description="Jobs at once in each process.")
    grace: float = Field(
        default=10.0,
        ge=0,
        allow_inf_nan=False,
        description="Seconds that running jobs get when the worker is told to stop.",
    )
    name: str = Field(default="", description="Name of the worker; none: host:pid.")
    metrics_host: str = Field(
        default="127.0.0.1", description="Address for metrics_port, where everyone may ask."
    )
    metrics_port: int | None = Field(
        default=None,
        ge=0,
        le=65535,
        description="Port that tells Prometheus what only the process knows; 0: any that is free; "
        "none: it does not.",
    )


class Settings(BaseSettings):
    """What this process was told. Frozen; `load` makes it."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    database_url: str | None = Field(
        default=None,
        repr=False,
        description="The database. Without one, libpq's variables name it if there are any, else "
        "it is the embedded Postgres.",
    )
    listen_url: str | None = Field(
        default=None,
        repr=False,
        description="A direct connection for LISTEN, when the database is behind a pooler.",
    )
    data_dir: Path = Field(
        default_factory=default_data_dir,
        description="Where the embedded Postgres keeps its data.",
    )
    postgres_bin: Path | None = Field(
        default=None, description="Folder of initdb and pg_ctl for the embedded Postgres."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least level that is logged."
    )
    log_format: Literal["auto", "text", "json"] = Field(
        default="auto",
        description="A line for people or an object for programs; auto: text on a terminal, else "
        "json.",
    )
    server: Server = Field(default=Server(), description="Settings of `pgq server`.")
    worker: Worker = Field(default=Worker(), description="Settings of `pgq worker`.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        *_: PydanticBaseSettingsSource,
        **__: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What the command line says, then the layers."""
        return (init_settings, *sources.layers(settings_cls, variables()))


def names() -> Iterator[str]:
    """Every setting; one of a section has its name before a dot."""
    for name, field in Settings.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, Section):
            yield from (f"{name}.{inner}" for inner in kind.model_fields)
        else:
            yield name


def field(name: str) -> FieldInfo:
    """How a setting is declared."""
    outer, _, inner = name.partition(".")
    found = Settings.model_fields[outer]
    kind = found.annotation
    if inner and isinstance(kind, type) and issubclass(kind, Section):
        return kind.model_fields[inner]
    return found


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return "DATABASE_URL" if name == "database_url" else f"PGQ_{name.upper().replace('.', '_')}"


def variables() -> dict[str, str]:
    """The variables of all settings."""
    return {name: variable(name) for name in names()}


def is_secret(name: str) -> bool:
    """Whether its value may hold a password."""
    return name.endswith("_url")


def load(options: Mapping[str, Any] | None = None) -> Settings:
    """Read the settings; `options` are the command line's, by name, None where not given.

    Raises `ConfigError` that names the place, the setting and what was expected.
    """
    given = sources.Options(Settings, options or {})
    try:
        settings = Settings(**given())
    except ValidationError as error:
        raise ConfigError(_mistake(error, given)) from None
    if settings.database_url is None and any(os.environ.get(name) for name in LIBPQ):
        settings = settings.model_copy(update={"database_url": ""})
    for name in filter(is_secret, names()):
        try:
            database.parse(getattr(settings, name) or "")
        except ConfigError as error:
            raise ConfigError(f"{_origin(name, _layers(given))}: {error}") from None
    return settings


def origins(options: Mapping[str, Any] | None = None) -> dict[str, str]:
    """Where each setting's value comes from: an option, a variable, a file, or `default`."""
    layers = _layers(sources.Options(Settings, options or {}))
    found = {name: _origin(name, layers) or "default" for name in names()}
    if found["database_url"] == "default":
        libpq = (name for name in LIBPQ if os.environ.get(name))
        found["database_url"] = next(libpq, "default")
    return found


def _layers(given: Layer) -> tuple[Layer, ...]:
    return (given, *sources.layers(Settings, variables()))


def _origin(name: str, layers: tuple[Layer, ...]) -> str | None:
    return next((layer.place(name) for layer in layers if name in layer.found), None)


def _mistake(error: ValidationError, given: Layer) -> str:
    layers = _layers(given)
    first = error.errors(include_url=False)[0]
    name = ".".join(part for part in first["loc"] if isinstance(part, str))
    while name and name not in variables():
        name = name.rpartition(".")[0]
    value = "" if is_secret(name) else f" is {first['input']!r}:"
    message = first["msg"][:1].lower() + first["msg"][1:]
    return f"{_origin(name, layers) or name}{value} {message}"


_embedded: dict[Path, Postgres] = {}


def dsn(settings: Settings) -> str:
    """The database to use. Starts the embedded Postgres when nothing is configured.

    It runs for as long as any process that asked for it, and stops after the last.
    """
    if settings.database_url is not None:
        return settings.database_url
    if settings.data_dir not in _embedded:
        server = Postgres(settings.data_dir, bin_dir=settings.postgres_bin)
        server.start()
        _embedded[settings.data_dir] = server
    return _embedded[settings.data_dir].dsn
