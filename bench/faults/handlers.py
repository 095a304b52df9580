"""The tasks that rows run. `FAULTS_LEDGER` names the folder of the ledger."""

from __future__ import annotations

import asyncio
import ctypes
import functools
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio

from faults.ledger import ENVIRONMENT, Pen
from pgq import App, Context

app = App()

ENDS = ("exit", "kill", "abort", "segfault", "memory")
"""Ways in which a job can end its process."""
MEMORY = 64 * 1024 * 1024
"""Bytes that a job eats before it is killed for it."""


@functools.cache
def _pen() -> Pen:
    return Pen(Path(os.environ[ENVIRONMENT]))


@contextmanager
def entered(ctx: Context) -> Iterator[None]:
    """Enter the start now; then the end, or that it was told to stop."""
    _pen().start(ctx.id, ctx.token, ctx.attempt)
    try:
        yield
    except asyncio.CancelledError:
        _pen().stop(ctx.id, ctx.token, ctx.attempt)
        raise
    _pen().end(ctx.id, ctx.token, ctx.attempt)


@app.task
async def work(ctx: Context, seconds: float = 0.0) -> None:
    """Takes so long, and gives way meanwhile."""
    with entered(ctx):
        if seconds:
            await anyio.sleep(seconds)


@app.task
async def work_long_once(ctx: Context, seconds: float) -> None:
    """Takes so long the first time that it runs, and no time when it is run again."""
    with entered(ctx):
        if _pen().is_first(ctx.id):
            await anyio.sleep(seconds)


@app.task
def work_in_thread(ctx: Context, seconds: float = 0.0) -> None:
    """Takes so long in a thread."""
    with entered(ctx):
        time.sleep(seconds)


@app.task
async def work_and_tell(ctx: Context, seconds: float = 0.0) -> None:
    """Takes so long, logs the token that it ran with, and fails the first time in one of four."""
    with entered(ctx):
        await anyio.sleep(seconds)
        ctx.log(str(ctx.token))
    if ctx.attempt == 1 and ctx.id % 4 == 0:
        raise RuntimeError("the first attempt")


@app.task
async def echo(ctx: Context, x: Any = None) -> Any:
    """Returns what it got."""
    with entered(ctx):
        return x


@app.task
def shout(ctx: Context, x: Any = None) -> None:
    """Logs what it got and what came along, and fails with it."""
    with entered(ctx):
        ctx.log(str(x))
        ctx.log(str(ctx.headers))
    raise ValueError(x)


@app.task
def end_process(ctx: Context, how: str) -> None:
    """Ends the process in which it runs."""
    with entered(ctx):
        match how:
            case "exit":
                os._exit(7)
            case "abort":
                os.abort()
            case "segfault":
                ctypes.string_at(0)
            case "memory":
                eaten = bytearray(os.urandom(1024)) * (MEMORY // 1024)
                # As the kernel does when there is no more to eat.
                os.kill(os.getpid(), signal.SIGKILL * bool(eaten))
            case _:
                os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(60)


@app.task
def spin(ctx: Context, seconds: float) -> None:
    """Computes, in a thread."""
    with entered(ctx):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            sum(range(1000))


@app.task
async def block(ctx: Context, seconds: float) -> None:
    """Gives way, so that its process claims again, then holds up the event loop."""
    with entered(ctx):
        await asyncio.sleep(0)
        time.sleep(seconds)


@app.task
def hold_the_gil(ctx: Context, seconds: float) -> None:
    """Waits in C and lets no other thread run meanwhile."""
    with entered(ctx):
        ctypes.PyDLL(None).usleep(ctypes.c_uint(int(seconds * 1_000_000)))
