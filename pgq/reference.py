"""Reference pages that are made of the code: `python -m pgq.reference docs`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Le

from pgq import config, doctor
from pgq.config import Section, Settings

_CONFIGURATION = """\
# Configuration

Made of the code by `make reference`. `pgq config` shows each setting, its value, and where it
comes from.

A setting is taken from the first of these that names it:

1. an option of the command line,
2. an environment variable; an empty one says nothing,
3. the file `.env` of the current folder, with the same variables,
4. the file `pgq.toml` of the current folder, or the one that the variable `PGQ_CONFIG` names,
5. its default.

The database is that of `--dsn`, else of `DATABASE_URL` (2 to 4), else the one that libpq's own
variables name in the environment (`PGHOST`, `PGSERVICE`, …), else an embedded Postgres. Whatever
the connection string leaves out, libpq's variables and `~/.pgpass` still fill in.

In `pgq.toml` the settings of a section stand in a table. A key that is none is refused, and so is
a value that makes no sense: one line names the file, the key and what was expected. A list may be
written as one, or as text with commas.

```toml
database_url = "postgresql://app@db.example/app"
log_level = "info"

[server]
host = "0.0.0.0"
allowed_hosts = ["queue.example"]

[worker]
app = "shop.jobs:app"
queues = "mail=4,default"
```

Whoever may read a file with a password in it has the password: a warning is logged when everybody
on the machine may. Options show in the list of processes, so a password is better kept in a file,
in the environment, or in `~/.pgpass`. Passwords and tokens are masked in logs, in errors and by
`pgq config`.
"""


def configuration() -> str:
    """docs/configuration.md."""
    return _CONFIGURATION + "".join(_section(title, names) for title, names in _sections())


def _sections() -> Iterator[tuple[str, list[str]]]:
    names = list(config.names())
    yield "Everywhere", [name for name in names if "." not in name]
    for section in (name for name, field in Settings.model_fields.items() if _is_section(field)):
        yield f"[{section}]", [name for name in names if name.startswith(f"{section}.")]


def _is_section(field: Any) -> bool:
    return isinstance(field.annotation, type) and issubclass(field.annotation, Section)


def _section(title: str, names: list[str]) -> str:
    rows = "".join(_row(name) for name in names)
    return f"\n## {title}\n\n| key | variable | value | default | |\n|---|---|---|---|---|\n{rows}"


def _row(name: str) -> str:
    field = config.field(name)
    cells = (
        f"`{name.rpartition('.')[2]}`",
        f"`{config.variable(name)}`",
        _kind(field.annotation, field.metadata),
        _default(name, field),
        (field.description or "").replace("|", "\\|"),
    )
    return f"| {' | '.join(cells)} |\n"


_KINDS: Mapping[Any, str] = {
    str: "text", int: "whole number", float: "number", bool: "true, false", Path: "path",
}  # fmt: skip


def _kind(annotation: Any, metadata: list[Any]) -> str:
    kind, arguments = get_origin(annotation), get_args(annotation)
    if kind is Annotated:
        return _kind(arguments[0], metadata)
    if kind in (Union, UnionType):
        return _kind(next(each for each in arguments if each is not NoneType), metadata)
    if kind is Literal:
        return ", ".join(f"`{each}`" for each in arguments)
    if kind is tuple:
        return "list"
    least = next((f"{limit.ge}" for limit in metadata if isinstance(limit, Ge)), None)
    most = next((f"{limit.le}" for limit in metadata if isinstance(limit, Le)), None)
    between = f" {least} to {most}" if most else f" from {least}" if least else ""
    return f"{_KINDS[annotation]}{between}"


def _default(name: str, field: Any) -> str:
    if name == "data_dir":
        return "`~/.local/share/pgq`; for root `/var/lib/pgq`"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, tuple):
        value = ",".join(value)
    if isinstance(value, bool):
        value = str(value).lower()
    return (
        "" if value in (None, "") else f"`{value:g}`" if isinstance(value, float) else f"`{value}`"
    )


_DOCTOR = """\
# pgq doctor

Made of the code by `make reference`. `pgq doctor` examines the queue and changes nothing. Of each
thing that is wrong it tells the evidence and the command that mends it; `pgq doctor CHECK` looks
at one, `--skip CHECK` leaves one out, `-v` shows what is in order as well, and `-o json` is for
programs.

The exit code goes by the worst verdict: 0 when all is in order, 7 for a *warning* or for what
could not be looked at (*unknown*, mostly for want of rights), 8 for something *critical*, that
stops or endangers work.

A role with `pgq_viewer` can make all checks. What other sessions run is told only as far as its
own rights go (`pg_read_all_stats` shows all), and always without literals. No check reads a table
of jobs: each costs the same however many there are.
"""


def doctor_page() -> str:
    """docs/doctor.md."""
    return _DOCTOR + "".join(_check(each) for each in doctor.checks().values())


def _check(check: doctor.Check) -> str:
    limits = [
        f"{verdict} from {limit:,g}"
        for verdict, limit in (("warning", check.warning), ("critical", check.critical))
        if limit is not None
    ]
    return (
        f"\n## {check.name}\n\n{check.about}\n\n"
        f"Figure: {check.measure}; {', '.join(limits)}.\n\n```\n{check.remedy()}\n```\n"
    )


PAGES: Mapping[str, Callable[[], str]] = {
    "configuration.md": configuration,
    "doctor.md": doctor_page,
}


def write(folder: Path) -> None:
    """Write all pages."""
    for name, page in PAGES.items():
        (folder / name).write_text(page())


if __name__ == "__main__":
    write(Path(sys.argv[1]))
