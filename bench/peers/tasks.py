"""Our tasks, which do nothing but count. `PEERS_FOLDER` and `PEERS_JOBS` name the tally."""

from __future__ import annotations

import functools
import os
import threading

from peers.tally import Tally
from pgq import App, Context

QUEUE = "bench"
app = App()
_turn = threading.Lock()


@functools.cache
def _tally() -> Tally:
    return Tally(os.environ["PEERS_FOLDER"], int(os.environ["PEERS_JOBS"]))


@app.task(queue=QUEUE)
async def noop(n: int, text: str, sent: float = 0.0) -> None:
    """Counts."""
    _tally().ran(n, sent)


@app.task(queue=QUEUE)
def noop_sync(n: int, text: str, sent: float = 0.0) -> None:
    """Counts, in a thread."""
    with _turn:
        _tally().ran(n, sent)


@app.task(queue=QUEUE)
async def fails_once(ctx: Context, n: int, text: str) -> None:
    """Counts at its second attempt."""
    if ctx.attempt == 1:
        raise ValueError("the first attempt fails")
    _tally().ran(n)
