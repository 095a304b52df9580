"""Tasks of these tests, which make spans of their own where there is OpenTelemetry."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from pgq import App, Context

app = App()
log = logging.getLogger("traced")


def span(name: str) -> AbstractContextManager[Any]:
    try:
        from opentelemetry import trace
    except ImportError:
        return nullcontext()
    return trace.get_tracer("traced").start_as_current_span(name)


@app.task
async def greet(name: str = "you") -> str:
    with span("greeting"):
        await asyncio.sleep(0)
        log.info("hello")
    return f"hello {name}"


@app.task
def greet_in_thread() -> None:
    with span("greeting"):
        log.info("hello")


@app.task
async def pass_on() -> None:
    await greet.enqueue()


@app.task
def pass_on_in_thread() -> None:
    app.enqueue_sync("greet")


@app.task
async def fail_once(ctx: Context, message: str = "the first time") -> None:
    if ctx.attempt == 1:
        raise LookupError(message)


@app.task
async def snooze_for_long(ctx: Context) -> None:
    await asyncio.sleep(60)


@app.task
async def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@app.task(timeout=0.2)
def spin() -> None:
    while True:
        pass


@app.task
async def add(number: int) -> int:
    return number
