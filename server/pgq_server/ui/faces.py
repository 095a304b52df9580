"""An action as SQL, curl, CLI and Python: all four call the same verb."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class Faces:
    """The four, ready to be pasted. An empty one is left out."""

    sql: str
    curl: str = ""
    cli: str = ""
    python: str = ""

    def __iter__(self) -> Any:
        named = (
            ("SQL", self.sql),
            ("curl", self.curl),
            ("Command line", self.cli),
            ("Python", self.python),
        )
        return iter([(name, text) for name, text in named if text])


def literal(value: Any) -> str:
    """A value in SQL."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, list | tuple):
        return f"array[{', '.join(literal(each) for each in value)}]"
    text = str(value)
    quoted = "'" + text.replace("'", "''").replace("\\", "\\\\") + "'"
    return f"E{quoted}" if "\\" in text else quoted


def call(verb: str, arguments: Mapping[str, Any], *, rows: bool = False) -> str:
    """The statement that calls a verb, with those arguments that are set."""
    named = ", ".join(
        f"{name} => {literal(value)}" for name, value in arguments.items() if value is not None
    )
    return f"select {'* from ' if rows else ''}pgq.{verb}({named});"


def curl(
    method: str, address: str, body: Mapping[str, Any] | None = None, *, has_token: bool = True
) -> str:
    """The request, with the token from the environment where one is needed."""
    lines = [f"curl -X {method} {shlex.quote(address)}"]
    if has_token:
        lines.append('-H "Authorization: Bearer $PGQ_TOKEN"')
    if body is not None:
        lines.append("-H 'Content-Type: application/json'")
        lines.append(f"-d {shlex.quote(json.dumps(body, ensure_ascii=False))}")
    return " \\\n     ".join(lines)


def cli(*words: Any) -> str:
    """The command line; words that are None are left out."""
    return shlex.join(["pgq", *(str(each) for each in words if each is not None)])


def python(verb: str, arguments: Mapping[str, Any]) -> str:
    """The verb through psycopg, with the caller's own connection."""
    given = {name: value for name, value in arguments.items() if value is not None}
    named = ", ".join(f"{name} => %({name})s" for name in given)
    values = ", ".join(f"{json.dumps(name)}: {_python(value)}" for name, value in given.items())
    return f'connection.execute(\n    "select pgq.{verb}({named})",\n    {{{values}}},\n)'


def _python(value: Any) -> str:
    if isinstance(value, datetime):
        value = value.isoformat()
    return repr(
        list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
    )
