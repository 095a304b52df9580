"""Breaks a rule of the worker in each of its processes, by the name in `FAULTS_MUTANT`."""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any


def decoded_together() -> None:
    """A worker decodes what it claims before it looks at single jobs."""
    from pgq_worker.dispatcher import Dispatcher

    accept = Dispatcher.accept

    def accept_decoded(self: Dispatcher, rows: Any, token: Any) -> None:
        rows = list(rows)
        for row in rows:
            json.loads(row[3])
        accept(self, rows, token)

    Dispatcher.accept = accept_decoded  # type: ignore[method-assign]


def handlers_go_on() -> None:
    """A worker that cannot renew its leases does not stop its handlers."""
    from pgq_worker.registration import Standing

    async def guard(self: Any) -> None:
        await asyncio.Event().wait()

    Standing.guard = guard  # type: ignore[method-assign]


def no_backoff() -> None:
    """A worker without a database tries again at once."""
    from pgq_worker import sessions

    sessions._SHORTEST = sessions._LONGEST = 0.0


def no_polling() -> None:
    """A worker looks for jobs only when it was woken."""
    from pgq_worker.claims import Claims

    resume = Claims.resume

    def resume_for_good(self: Claims, worker: int, poll: float) -> None:
        resume(self, worker, 1e6)

    Claims.resume = resume_for_good  # type: ignore[method-assign]


if name := os.environ.get("FAULTS_MUTANT"):
    globals()[name]()
