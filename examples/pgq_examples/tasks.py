"""The tasks that `pgq dev` runs: `-a pgq_examples.tasks:app`.

Each can be entered by a bare `insert into pgq.job (task) values (…)`.
"""

from __future__ import annotations

import logging
import os
import tempfile
import time
from typing import Any

import anyio
from anyio.abc import SocketAttribute, SocketStream

from pgq import App, Context

app = App()
log = logging.getLogger("pgq.examples")

MEGABYTE = 1 << 20
Label = str | int | None


@app.task
async def email(
    to: str = "user@example.com", subject: str = "Hello", body: str = "", seconds: float = 2.0
) -> dict[str, str]:
    """Pretends to send a mail, which takes two seconds."""
    await anyio.sleep(seconds)
    log.info("sent %r to %s", subject, to)
    return {"to": to, "status": "sent"}


@app.task
async def fail(ctx: Context, message: str = "this task always fails", seconds: float = 1.0) -> None:
    """Fails after a second, every time: it is tried again, and ends as a dead letter."""
    await anyio.sleep(seconds)
    log.info("attempt %d of %d is about to fail", ctx.attempt, ctx.max_attempts)
    raise RuntimeError(message)


@app.task
def cpu_intensive(ctx: Context, label: Label = None, seconds: float = 2.0) -> dict[str, int]:
    """Counts primes for two seconds, in a thread, and says how far it is."""
    begun = time.monotonic()
    primes, candidate = 0, 1
    while (spent := time.monotonic() - begun) < seconds:
        for _ in range(1000):
            candidate += 1
            if all(candidate % d for d in range(2, int(candidate**0.5) + 1)):
                primes += 1
        ctx.check_cancelled()
        ctx.progress(min(1.0, spent / seconds))
    log.info("found %d primes below %d", primes, candidate)
    return {"primes": primes, "below": candidate}


@app.task
def io_intensive(label: Label = None, megabytes: int = 32) -> dict[str, float]:
    """Writes a file to the disk and reads it back, in a thread."""
    begun = time.monotonic()
    block = os.urandom(MEGABYTE)
    with tempfile.TemporaryFile() as file:
        for _ in range(megabytes):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
        file.seek(0)
        while file.read(MEGABYTE):
            pass
    seconds = round(time.monotonic() - begun, 3)
    log.info("wrote and read %d MB in %.2f s", megabytes, seconds)
    return {"megabytes": megabytes, "seconds": seconds}


@app.task
async def network_intensive(label: Label = None, megabytes: int = 64) -> dict[str, float]:
    """Sends data to a server of its own on the loopback interface, which sends it back."""
    begun = time.monotonic()
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(SocketAttribute.local_port)
    received = 0
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, _echo)
        async with await anyio.connect_tcp("127.0.0.1", port) as stream:
            group.start_soon(_send, stream, megabytes)
            while received < megabytes * MEGABYTE:
                received += len(await stream.receive())
        group.cancel_scope.cancel()
    seconds = round(time.monotonic() - begun, 3)
    log.info("sent and received %d MB in %.2f s", megabytes, seconds)
    return {"megabytes": megabytes, "seconds": seconds}


@app.task
async def echo(*values: Any, **fields: Any) -> Any:
    """Returns what it is given."""
    given = fields or (values[0] if len(values) == 1 else list(values))
    log.info("echo %s", given)
    return given


@app.task("*")
async def anything(ctx: Context, payload: Any) -> dict[str, Any]:
    """Runs what no other task is named after: takes a second and succeeds."""
    await anyio.sleep(1.0)
    log.info("ran %r with %s", ctx.task, payload)
    return {"task": ctx.task, "payload": payload}


async def _echo(stream: SocketStream) -> None:
    async with stream:
        async for block in stream:
            await stream.send(block)


async def _send(stream: SocketStream, megabytes: int) -> None:
    block = bytes(MEGABYTE)
    for _ in range(megabytes):
        await stream.send(block)
