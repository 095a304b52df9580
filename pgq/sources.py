"""The places that settings are read from, strongest first: options, environment, .env, pgq.toml."""

from __future__ import annotations

import difflib
import logging
import os
import stat
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dotenv import dotenv_values
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from pgq import database
from pgq.errors import ConfigError

ENV_FILE = Path(".env")
TOML_FILE = Path("pgq.toml")
TOML_VARIABLE = "PGQ_CONFIG"
"""Names another file than pgq.toml of the current folder."""

log = logging.getLogger("pgq.config")
_told: set[Path] = set()


class Layer(PydanticBaseSettingsSource):
    """What one place says: settings by their names, those of a section with a dot."""

    def __init__(
        self,
        settings_cls: type[BaseSettings],
        found: Mapping[str, Any],
        file: Path | None = None,
    ) -> None:
        super().__init__(settings_cls)
        self.found = found
        self.file = file

    def place(self, name: str) -> str:
        """Where a setting stands, as people look for it."""
        raise NotImplementedError

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """A setting that belongs to no section."""
        return self.found.get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        """The settings as the model takes them."""
        values: dict[str, Any] = {}
        for name, value in self.found.items():
            section, dot, inner = name.partition(".")
            if dot:
                values.setdefault(section, {})[inner] = value
            else:
                values[name] = value
        return values


class Options(Layer):
    """Options of the command line; those that were not given are None."""

    def __init__(self, settings_cls: type[BaseSettings], options: Mapping[str, Any]) -> None:
        given = {name: value for name, value in options.items() if value not in (None, ())}
        super().__init__(settings_cls, given)

    def place(self, name: str) -> str:
        """The option."""
        return "--dsn" if name == "database_url" else f"--{_last(name).replace('_', '-')}"


class Variables(Layer):
    """Environment variables; an empty one says nothing."""

    def __init__(
        self,
        settings_cls: type[BaseSettings],
        variables: Mapping[str, str],
        values: Mapping[str, str | None],
        file: Path | None = None,
    ) -> None:
        self._variables = variables
        found = {name: value for name, key in variables.items() if (value := values.get(key))}
        super().__init__(settings_cls, found, file)

    def place(self, name: str) -> str:
        """The variable, and the file in which it stands if it does in one."""
        variable = self._variables[name]
        return f"{self.file}, {variable}" if self.file else variable


class Toml(Layer):
    """A file in which sections are tables. Unknown keys are refused."""

    def __init__(
        self, settings_cls: type[BaseSettings], variables: Mapping[str, str], file: Path
    ) -> None:
        found = _flat(_parsed(file))
        for name in found:
            if name not in variables:
                raise ConfigError(f"{file}: {_unknown(name, variables)}")
        super().__init__(settings_cls, found, file)

    def place(self, name: str) -> str:
        """The file and the key."""
        return f"{self.file}, {name}"


def layers(settings_cls: type[BaseSettings], variables: Mapping[str, str]) -> tuple[Layer, ...]:
    """The environment, .env and pgq.toml. Raises `ConfigError` for a file that makes no sense.

    Of a file with a password that others may read, a warning is logged, once in a process.
    """
    environment = Variables(settings_cls, variables, os.environ)
    found: list[Layer] = [environment]
    if ENV_FILE.is_file():
        try:
            values = dotenv_values(ENV_FILE, interpolate=False)
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{ENV_FILE} cannot be read: {error}") from None
        found.append(Variables(settings_cls, variables, values, ENV_FILE))
    if file := toml_file():
        found.append(Toml(settings_cls, variables, file))
    _check_rights(found)
    return tuple(found)


def toml_file() -> Path | None:
    """The file that PGQ_CONFIG names, else pgq.toml of the current folder if there is one."""
    if named := os.environ.get(TOML_VARIABLE):
        return Path(named)
    return TOML_FILE if TOML_FILE.is_file() else None


def exposed(found: Sequence[Layer]) -> list[Path]:
    """Files with a password that everybody on this machine may read."""
    return [layer.file for layer in found if layer.file and _is_exposed(layer.file, layer.found)]


def strangers(variables: Mapping[str, str]) -> list[str]:
    """Environment variables that look like settings and are none."""
    known = {*variables.values(), TOML_VARIABLE}
    return [
        name
        for name in sorted(os.environ)
        if name.startswith("PGQ_") and not name.startswith("PGQ_TEST_") and name not in known
    ]


def _check_rights(found: Sequence[Layer]) -> None:
    for file in exposed(found):
        if file.absolute() not in _told:
            _told.add(file.absolute())
            log.warning("%s holds a password and others may read it: chmod o-rwx %s", file, file)


def _is_exposed(file: Path, found: Mapping[str, Any]) -> bool:
    urls = [url for name, url in found.items() if name.endswith("_url") and isinstance(url, str)]
    try:
        has_password = bool(database.passwords(*urls))
    except ConfigError:
        return False
    return has_password and bool(file.stat().st_mode & stat.S_IROTH)


def _parsed(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigError(f"{file} cannot be read: {why}") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file} is not TOML: {error}") from None


def _flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{prefix}{key}.") or {f"{prefix}{key}.": None}
        else:
            found[f"{prefix}{key}"] = value
    return {name: value for name, value in found.items() if not name.endswith(".")}


def _unknown(name: str, variables: Mapping[str, str]) -> str:
    near = difflib.get_close_matches(name, variables, 1) or [
        known for known in variables if _last(known) == _last(name)
    ]
    guess = f"; did you mean {near[0]}?" if near else "; `pgq config` lists all"
    return f"there is no setting {name}{guess}"


def _last(name: str) -> str:
    return name.rpartition(".")[2]
