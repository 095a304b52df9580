"""Tasks that the workers of these tests run. What they do is seen in the file PGQ_TEST_LEDGER."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
import time
from contextvars import ContextVar
from typing import Any

from pgq import App, Cancel, Context, Permanent, Retry, Snooze

app = App()
left_behind: ContextVar[str] = ContextVar("left_behind", default="nothing")


def note(event: str, ctx: Context) -> None:
    line = f"{event} {ctx.id} {os.getpid()}\n"
    with open(os.environ["PGQ_TEST_LEDGER"], "a") as ledger:
        ledger.write(line)


@app.task
async def echo(value: Any = None) -> Any:
    return value


@app.task
def echo_in_thread(value: Any = None) -> Any:
    assert threading.current_thread() is not threading.main_thread()
    return value


@app.task
async def talk(ctx: Context) -> None:
    ctx.log("from the context", "warning")
    ctx.progress(0.25, "a quarter")
    logging.getLogger("handlers").info("from logging")
    logging.getLogger("handlers").debug("too quiet")


@app.task
def talk_in_thread(ctx: Context) -> None:
    ctx.log("from the context")
    logging.getLogger("handlers").error("from logging")


@app.task
async def wait(ctx: Context, seconds: float = 60) -> None:
    note("begin", ctx)
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        note("cancelled", ctx)
        raise
    note("end", ctx)


@app.task
def wait_in_thread(ctx: Context, seconds: float = 60) -> None:
    note("begin", ctx)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if ctx.cancelled:
            note("cancelled", ctx)
            ctx.check_cancelled()
        time.sleep(0.01)
    note("end", ctx)


@app.task
def spin(ctx: Context) -> None:
    note("begin", ctx)
    while True:
        pass


@app.task
async def ignore_cancellation(ctx: Context) -> None:
    note("begin", ctx)
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            note("cancelled", ctx)


@app.task
async def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@app.task
async def die_beside(ctx: Context, other: int) -> None:
    """Die once the other job runs in this process, but not when alone."""
    with open(os.environ["PGQ_TEST_LEDGER"]) as ledger:
        if f"begin {other} {os.getpid()}\n" in ledger.read():
            os.kill(os.getpid(), signal.SIGKILL)


@app.task
async def fail(message: str = "as asked") -> None:
    raise ValueError(message)


@app.task
async def fail_for_good() -> None:
    raise Permanent("never")


@app.task
async def leave() -> None:
    raise SystemExit(3)


@app.task
async def unserializable() -> object:
    return object()


@app.task
async def answer(kind: str) -> object:
    match kind:
        case "retry":
            raise Retry(after=3600)
        case "snooze":
            return Snooze(3600)
        case _:
            raise Cancel("not wanted")


@app.task
async def leave_something_behind() -> str:
    found = left_behind.get()
    left_behind.set("something")
    return found


@app.task
def leave_something_behind_in_thread() -> str:
    found = left_behind.get()
    left_behind.set("something")
    return found


@app.task
def stop_iteration() -> None:
    next(iter(()))
