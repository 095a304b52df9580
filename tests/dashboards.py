"""The dashboards in grafana/, their panels, and what these ask."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pgq

FOLDER = Path(pgq.__file__).parent.parent / "grafana"
FILES = sorted((FOLDER / "dashboards").glob("*.json"))

Json = dict[str, Any]


def load(path: Path) -> Json:
    found: Json = json.loads(path.read_text())
    return found


def panels(dashboard: Json) -> Iterator[Json]:
    """All panels but the rows."""
    return (panel for panel in dashboard["panels"] if panel["type"] != "row")


def targets(key: str) -> list[tuple[str, str]]:
    """Where each question of this kind (`expr`, `rawSql`) stands, and the question."""
    return [
        (f"{path.stem}: {panel['title']} {panel['id']}{target['refId']}", target[key])
        for path in FILES
        for panel in panels(load(path))
        for target in panel["targets"]
        if key in target
    ]


def filled(expression: str, *, window: str = "1m") -> str:
    """An expression with Grafana's variables filled in."""
    text = expression.replace("$__rate_interval", window).replace("$queue", ".*")
    assert "$" not in text, expression
    return text


def metrics(expression: str) -> set[str]:
    """Names of the metrics that it asks for."""
    return set(re.findall(r"\bpgq_\w+", expression))
