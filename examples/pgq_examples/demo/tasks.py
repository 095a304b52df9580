"""What the demo's workers run: `-a pgq_examples.demo.tasks:app`."""

from __future__ import annotations

import hashlib
import os
import time
from datetime import timedelta
from pathlib import Path

import anyio
import psycopg

from pgq import App, Backoff, Context

QUEUE = "demo"
QUICKLY = Backoff(base=timedelta(milliseconds=20), max=timedelta(milliseconds=100))
HAUL_STEPS = 12
SIGNING_TAKES = 1.5
"""Seconds."""

app = App()


@app.task(queue=QUEUE)
def measure(path: str) -> dict[str, int | str]:
    """Lines, words and digest of a file."""
    text = Path(path).read_bytes()
    return {
        "lines": text.count(b"\n"),
        "words": len(text.split()),
        "sha256": hashlib.sha256(text).hexdigest(),
    }


@app.task(queue=QUEUE, max_attempts=5, retry=QUICKLY)
async def flaky(ctx: Context, number: int) -> int:
    """Succeeds on its third attempt."""
    if ctx.attempt < 3:
        raise ConnectionError(f"the service did not answer attempt {ctx.attempt}")
    return number


@app.task(queue=QUEUE, max_attempts=3, retry=QUICKLY)
async def doomed() -> None:
    """Never succeeds."""
    raise ValueError("no such customer: 4711")


@app.task(queue=QUEUE)
async def remind(text: str) -> str:
    """Is entered for later."""
    return text


@app.task(queue=QUEUE)
async def haul(ctx: Context) -> int:
    """Takes three seconds, and says how far it is."""
    for step in range(HAUL_STEPS):
        await anyio.sleep(0.25)
        ctx.progress((step + 1) / HAUL_STEPS)
    return HAUL_STEPS


@app.task(queue=QUEUE)
def sign(ctx: Context) -> None:
    """Writes a signature and completes its job, both in one transaction of its own.

    When the job is no longer its own, neither happens; then it writes down the refusal.
    """
    ctx.log("about to sign")
    time.sleep(SIGNING_TAKES)
    with psycopg.connect(os.environ["DATABASE_URL"]) as session:
        try:
            with session.transaction():
                session.execute(
                    "insert into public.signature (job_id, supervisor) values (%s, %s)",
                    [ctx.id, os.getppid()],
                )
                session.execute(
                    "select pgq.complete(p_id => %s, p_token => %s, p_result => '\"signed\"')",
                    [ctx.id, ctx.token],
                )
        except psycopg.Error as error:
            session.execute(
                "insert into public.refusal (job_id, supervisor, sqlstate) values (%s, %s, %s)",
                [ctx.id, os.getppid(), error.sqlstate],
            )
