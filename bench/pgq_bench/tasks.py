"""The tasks that are measured."""

from __future__ import annotations

import time

from pgq import App

app = App()


@app.task
async def noop(to: str, subject: str) -> None:
    """Takes an everyday payload and does nothing."""


@app.task
async def stamp(sent: float) -> float:
    """Milliseconds from `sent`, on the machine's monotonic clock, to the start of this handler."""
    return (time.monotonic() - sent) * 1000
