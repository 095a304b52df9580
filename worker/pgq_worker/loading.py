"""Finds the app that a reference such as `package.module:app` names."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from pgq import App
from pgq.errors import ConfigError


def load_app(reference: str) -> App:
    """Import the module and take the app from it, `app` unless another name is given.

    Modules are also looked for in the current folder. Raises `ConfigError`; what a module itself
    raises passes.
    """
    module_name, _, name = reference.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    if not module_name or not all(part.isidentifier() for part in module_name.split(".")):
        raise ConfigError(f"app {reference!r} is not a reference; expected package.module:app")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise
        raise ConfigError(
            f"app {reference!r}: there is no module {error.name!r} in {here} or on the Python path"
        ) from None
    found: object = module
    for part in (name or "app").split("."):
        found = getattr(found, part, None)
    if not isinstance(found, App):
        kind = "nothing" if found is None else f"a {type(found).__name__}"
        raise ConfigError(
            f"app {reference!r}: {module_name} has {kind} named {name or 'app'!r}; "
            "expected a pgq.App"
        )
    return found
