"""Templates, and what they can say."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined

from pgq_server.ui import figures, filters

STATIC = Path(__file__).parent / "static"

STATE_ICONS = {
    "available": "succeeded",
    "busy": "running",
    "draining": "drain",
    "offline": "cancelled",
    "done": "succeeded",
    "stopped": "stop",
    "failed": "dead",
}
"""Glyphs of states that have none of their own name."""


@cache
def environment() -> Environment:
    """The templates. Everything is escaped, and a name that does not exist is an error."""
    made = Environment(
        loader=PackageLoader("pgq_server.ui"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        ago=figures.ago,
        moment=figures.moment,
        clock=figures.clock,
        day=figures.day,
        duration=figures.duration,
        short=figures.short,
        count=figures.count,
        rate=figures.rate,
        path=lambda text: quote(str(text), safe=""),
        json=lambda value: json.dumps(value, ensure_ascii=False),
    )
    made.filters["shell"] = lambda text: shlex.quote(str(text))
    made.globals.update(state_icons=STATE_ICONS, word=filters.word)
    return made


@cache
def fingerprint() -> str:
    """Changes with any static file: part of their addresses, so browsers keep them for good."""
    digest = hashlib.sha256()
    for path in sorted(STATIC.rglob("*")):
        if path.is_file():
            digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:12]


class Addresses:
    """Addresses of the service below its path prefix."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix.rstrip("/")

    def url(self, path: str, **query: Any) -> str:
        """The address of a path, whose parts are quoted, with those query values that are set."""
        words = urlencode({name: value for name, value in query.items() if value not in (None, "")})
        return f"{self._prefix}{path}" + (f"?{words}" if words else "")

    def asset(self, path: str) -> str:
        """The address of a static file."""
        return f"{self._prefix}/ui/static/{fingerprint()}/{path}"


def render(
    template: str, addresses: Addresses, *, fragment: bool, values: Mapping[str, Any]
) -> str:
    """A page, or only the inside of its `main` when a `fragment` is asked for."""
    return (
        environment()
        .get_template(template)
        .render(
            {
                "base": "fragment.html" if fragment else "layout.html",
                "dialog_base": "dialog.html" if fragment else "dialog_page.html",
                "url": addresses.url,
                "asset": addresses.asset,
                "now": datetime.now(UTC),
                "live": None,
                "stream": None,
                "signed_in": False,
                "page": None,
                **values,
            }
        )
    )
