"""Finds the app that a reference such as `package.module:app` names."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

from pgq import App
from pgq.errors import ConfigError
from pgq.task import Task

SCHEMAS = 500_000
"""Characters of schemas that a worker tells of; with more it tells the names alone."""


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


def describe(app: App) -> dict[str, dict[str, Any] | None]:
    """The app's tasks by name, each with the JSON Schema of its payloads, None without one."""
    texts = {name: _schema(task) for name, task in app.tasks.items() if "\0" not in name}
    if sum(map(len, texts.values())) > SCHEMAS:
        return dict.fromkeys(texts)
    return {name: json.loads(text) for name, text in texts.items()}


def _schema(task: Task[..., ..., Any]) -> str:
    """As JSON text that the database can read."""
    try:
        text = json.dumps(task.payload_schema(), ensure_ascii=False, allow_nan=False)
        text.encode()
    except ValueError:
        return "null"
    return "null" if "\\u0000" in text else text
