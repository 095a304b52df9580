"""One verb for each of several jobs, or queues."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import click

from pgq import errors
from pgq.cli import explained, verbs
from pgq.cli import output as out


def run(
    names: Sequence[Any],
    errand: Callable[[verbs.Session, Any], str],
    *,
    noun: str,
    output: out.Format,
    phrases: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Print what `errand` did to each, a word; `phrases` says it to people where that is too short.

    One that is refused is told of and does not stop the others; the exit code is then that of the
    first.
    """
    done: list[dict[str, Any]] = []
    code = 0
    with verbs.session() as session:
        for name in names:
            try:
                did = errand(session, name)
            except errors.DatabaseError as error:
                message, refusal = explained(error)
                click.echo(f"pgq: {message}", err=True)
                code = code or refusal
            else:
                done.append({noun: name, "did": did})
                if output == "table":
                    click.echo(f"{noun} {out.shown(name)} {phrases.get(did, did)}")
    if output == "json":
        out.write(done, [noun, "did"], output=output)
    click.get_current_context().exit(code)


def retry(ids: Sequence[int], *, payload: str | None, output: out.Format) -> None:
    """Retry each job; another payload is for one job alone."""
    if payload is not None and len(ids) > 1:
        raise click.UsageError("--payload is for one job; retry the others by themselves")

    def errand(session: verbs.Session, job_id: int) -> str:
        verbs.value(session, "retry", id=job_id, payload=payload)
        return "retried"

    run(ids, errand, noun="job", output=output)
