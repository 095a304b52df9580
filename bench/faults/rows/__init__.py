"""The rows, one to a module, each as its `ROW`."""

from __future__ import annotations

import pkgutil
from importlib import import_module

from faults.row import Row


def _found() -> list[Row]:
    modules = (
        import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)
    )
    rows: list[Row] = [module.ROW for module in modules]
    return sorted(rows, key=lambda row: int(row.name[1:]))


ROWS: dict[str, Row] = {row.name: row for row in _found()}
