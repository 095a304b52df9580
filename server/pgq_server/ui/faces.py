"""An action as SQL, curl, CLI and Python: all four call the same verb."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pgq_server import masking
from pgq_server.ui import figures


@dataclass(frozen=True)
class Faces:
    """The four, ready to be pasted; the command line is None where it has no such thing."""

    sql: str
    curl: str
    cli: str | None
    python: str

    def __iter__(self) -> Any:
        return iter(
            [
                ("SQL", self.sql),
                ("curl", self.curl),
                ("Command line", self.cli),
                ("Python", self.python),
            ]
        )


def plain(value: Any) -> Any:
    """A time or a duration as text that SQL, the API and the command line read."""
    if isinstance(value, datetime):
        return value.isoformat()
    return figures.exact(value) if isinstance(value, timedelta) else value


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
    text = str(plain(value))
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
        lines.append(f"-d {shlex.quote(masking.write(body))}")
    return " \\\n     ".join(lines)


def cli(*words: Any, options: Mapping[str, Any] | None = None) -> str:
    """The command line: words, then the options that are set; True is a flag, a list many."""
    given: list[str] = []
    for name, value in (options or {}).items():
        option = f"--{name.replace('_', '-')}"
        for each in value if isinstance(value, list | tuple) else (value,):
            if each is True:
                given.append(option)
            elif each is not None:
                given += [option, str(plain(each))]
    texts = [str(each) for each in words]
    dashed = next((n for n, text in enumerate(texts) if text.startswith("-")), len(texts))
    if dashed < len(texts):  # what looks like an option is none
        return shlex.join(["pgq", *texts[:dashed], *given, "--", *texts[dashed:]])
    return shlex.join(["pgq", *texts, *given])


def python(verb: str, arguments: Mapping[str, Any]) -> str:
    """The verb through psycopg, with the caller's own connection."""
    given = {name: value for name, value in arguments.items() if value is not None}
    named = ", ".join(f"{name} => %({name})s" for name in given)
    values = ", ".join(f"{json.dumps(name)}: {_python(value)}" for name, value in given.items())
    return f'connection.execute(\n    "select pgq.{verb}({named})",\n    {{{values}}},\n)'


def _python(value: Any) -> str:
    value = plain(value)
    return repr(
        list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
    )
