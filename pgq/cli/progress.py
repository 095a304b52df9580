"""A line on the terminal that tells how far long work has come."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

import click

from pgq.cli.output import is_terminal

_LEAST_PAUSE = 0.1
"""Seconds between two looks of the line."""


class Progress:
    """Writes to standard error, only when that is a terminal, and wipes the line at the end."""

    def __init__(self) -> None:
        self._terminal = is_terminal(sys.stderr)
        self._shown_at = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._shown_at:
            click.echo("\r\x1b[K", nl=False, err=True)

    def show(self, text: str) -> None:
        """Replace the line, though not more often than people can read."""
        if self._terminal and time.monotonic() - self._shown_at >= _LEAST_PAUSE:
            self._shown_at = time.monotonic()
            click.echo(f"\r\x1b[K{text}", nl=False, err=True)
