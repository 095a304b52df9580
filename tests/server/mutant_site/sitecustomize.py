"""Breaks one guard of the server: a place in the source of a module, as `PGQ_TEST_MUTANT` says.

Or takes a package away that may be missing, which `PGQ_TEST_WITHOUT` names.
"""

from __future__ import annotations

import json
import os
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType
from typing import Any


class Breaker(MetaPathFinder):
    """Finds the module before others do."""

    def __init__(self, module: str, old: str, new: str) -> None:
        self._module, self._old, self._new = module, old, new

    def find_spec(self, name: str, path: Any, target: Any = None) -> ModuleSpec | None:
        """The module with its source changed."""
        found = PathFinder.find_spec(name, path) if name == self._module else None
        if found is not None and found.origin is not None:
            found.loader = Broken(name, found.origin, self._old, self._new)
        return found


class Broken(SourceFileLoader):
    """Loads the source with the place changed, never what was compiled before."""

    def __init__(self, name: str, path: str, old: str, new: str) -> None:
        super().__init__(name, path)
        self._old, self._new = old, new

    def get_code(self, fullname: str) -> CodeType:
        """The code."""
        text = self.get_data(self.path).decode()
        if text.count(self._old) != 1:
            sys.exit(f"{self.path} has changed: {self._old!r}")
        return compile(text.replace(self._old, self._new), self.path, "exec", dont_inherit=True)


if told := os.environ.get("PGQ_TEST_MUTANT"):
    sys.meta_path.insert(0, Breaker(*json.loads(told)))
if missing := os.environ.get("PGQ_TEST_WITHOUT"):
    sys.modules[missing] = None  # type: ignore[assignment]
