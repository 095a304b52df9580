"""The worker's standing with the database: registered, and alive by its heartbeat."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import platform
import random
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol
from uuid import UUID, uuid4

import psycopg

from pgq.errors import PgqError, Unavailable, WorkerExpired
from pgq_worker import arrays, logs
from pgq_worker.plan import Plan
from pgq_worker.sessions import Session
from pgq_worker.slots import Held

log = logs.get("heartbeat")

SHORTEST, LONGEST = 0.125, 2.0
"""Seconds between heartbeats that nobody answers; never more than between others."""

State = Literal["available", "busy", "draining", "offline"]

REGISTER = (
    "select worker, extract(epoch from lease)::float8, extract(epoch from heartbeat)::float8, "
    "extract(epoch from poll)::float8, solo_children from pgq.register_worker(p_name => ?, "
    "p_queues => ?::text[], p_slots => ?, p_info => ?::json, p_token => ?::uuid)"
)
HEARTBEAT = (
    "select cancelled, lost, suspects, drain, extract(epoch from clock_timestamp())::float8 "
    "from pgq.heartbeat(p_worker => ?, "
    "p_ids => ?::bigint[], p_tokens => ?::uuid[], p_busy => ?, p_state => ?, "
    "p_token => ?::uuid, p_claims => ?::uuid[], p_beat => ?)"
)


@dataclass(frozen=True, slots=True)
class Registration:
    """What the database answered; durations in seconds."""

    worker: int
    lease: float
    heartbeat: float
    poll: float
    solo_children: int


class Holder(Protocol):
    """Who runs the jobs: told what becomes of the worker, asked what is in hand."""

    def claiming(self) -> list[UUID]: ...

    def held(self) -> list[Held]: ...

    def busy(self) -> int: ...

    def state(self) -> State: ...

    def go(self, registration: Registration) -> None:
        """Claim jobs as this worker."""

    def rest(self) -> None:
        """Claim nothing more until `go`; what is in hand goes on."""

    def drop(self) -> None:
        """Stop all handlers and claim nothing: the leases end before long, or have ended."""

    def told(self, job: Held, what: Literal["cancel", "lost"]) -> None:
        """Of a job in hand."""

    def want_solo(self) -> None:
        """Suspects wait in the worker's queues."""


class Standing:
    """Registers, sends heartbeats, and drops the jobs before a lease that cannot be kept ends."""

    def __init__(
        self, session: Session, plan: Plan, holder: Holder, *, check: Callable[[int], None]
    ) -> None:
        self._session = session
        self._plan = plan
        self._holder = holder
        self._check = check
        self._sooner = asyncio.Event()
        self._tasks: dict[str, Any] = {}
        self._tasks_known = asyncio.Event()
        self._token = str(uuid4())
        self._deadline = 0.0
        self._beats = 0
        """Heartbeats that were sent."""
        self._failures = 0
        """Heartbeats that nobody answered since the jobs were dropped."""
        self._failing = False
        self.registration: Registration | None = None
        self.suspended = False
        self.draining = False
        """Whether the worker was asked to claim nothing."""
        self.answered_at = 0.0
        """When the last heartbeat that was answered was sent, on the clock of `time.monotonic`."""
        self.clock_skew = 0.0
        """Seconds by which the database's clock is ahead of this machine's."""

    @property
    def claims(self) -> bool:
        """Whether jobs are to be claimed."""
        return not (self.suspended or self.draining)

    def register(self, tasks: dict[str, Any]) -> None:
        """The app is there: register as a worker that knows these tasks."""
        self._tasks = tasks
        self._tasks_known.set()

    def hurry(self) -> None:
        """Send the next heartbeat now."""
        self._sooner.set()

    async def run(self) -> None:
        """Stay registered from `register` on, for good."""
        while True:
            registration = self.registration or await self._register()
            wait = registration.heartbeat
            try:
                await self._beat(registration)
                self._recovered()
            except WorkerExpired:
                log.warning("worker %d has expired; its jobs are dropped", registration.worker)
                self._suspend()
                self.registration = None
                continue
            except Unavailable as error:
                wait = self._until_retry(wait)
                self._note(error)
            except (PgqError, psycopg.Error) as error:
                wait /= 4
                log.error("no heartbeat: %s", error)
            try:
                async with asyncio.timeout(wait * random.uniform(0.8, 1.0)):  # noqa: S311
                    await self._sooner.wait()
            except TimeoutError:
                pass
            self._sooner.clear()

    def _until_retry(self, heartbeat: float) -> float:
        """Soon while the leases can be kept; later and later when they are gone."""
        if self.suspended:
            self._failures += 1
            return min(SHORTEST * 2.0 ** min(self._failures, 10), LONGEST, heartbeat)
        return max(min(heartbeat, self._deadline - time.monotonic()) / 4, SHORTEST)

    def _note(self, error: Unavailable) -> None:
        log.log(logging.DEBUG if self._failing else logging.WARNING, "no heartbeat: %s", error)
        self._failing = True

    def _recovered(self) -> None:
        if self._failing:
            log.info("heartbeats are answered again")
        self._failing = False
        self._failures = 0

    async def guard(self) -> None:
        """Drop the jobs before the lease ends, for good."""
        while True:
            left = self._deadline - time.monotonic()
            if self.registration is not None and left <= 0 and not self.suspended:
                log.error("no heartbeat was answered until the leases end: the jobs are stopped")
                self._suspend()
            await asyncio.sleep(max(left, 0.05) if 0 < left < 0.5 else 0.25)

    async def leave(self) -> None:
        """Unregister, if the database answers."""
        if self.registration is not None:
            self._beats += 1
            values = (
                *(self.registration.worker, "{}", "{}", 0, "offline"),
                *(self._token, "{}", self._beats),
            )
            try:
                await self._session.fetch(HEARTBEAT, values, timeout=2)
            except (PgqError, psycopg.Error) as error:
                log.warning("could not unregister: %s", error)

    async def _register(self) -> Registration:
        await self._tasks_known.wait()
        self._check((await self._session.insist("select pgq.version()", timeout=10))[0][0])
        info = {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "python": platform.python_version(),
            "processes": self._plan.processes,
            "concurrency": self._plan.concurrency,
            "app": self._plan.app,
            "tasks": self._tasks,
        }
        sent_at = time.monotonic()
        rows = await self._session.insist(
            REGISTER,
            (
                self._plan.title[:200],
                arrays.texts(self._plan.queues),
                self._plan.slots,
                json.dumps(info),
                self._token,
            ),
            timeout=10,
        )
        registration = Registration(*rows[0])
        log.info("registered as worker %d", registration.worker)
        self.registration = registration
        self.draining = False
        self._kept(registration, sent_at)
        return registration

    async def _beat(self, registration: Registration) -> None:
        # First: what a claim brings is in hand before it is no longer under way.
        claiming = self._holder.claiming()
        held = {job.id: job for job in self._holder.held()}
        self._beats += 1
        values: Sequence[object] = (
            registration.worker,
            arrays.bigints(held),
            arrays.uuids([job.token.bytes for job in held.values()]),
            self._holder.busy(),
            self._holder.state(),
            self._token,
            arrays.uuids([token.bytes for token in claiming]),
            self._beats,
        )
        sent_at = time.monotonic()
        rows = await self._session.fetch(
            HEARTBEAT, values, timeout=max(registration.lease / 3, 0.5)
        )
        if self.registration is not registration:
            return
        cancelled, lost, suspects, drain, clock = rows[0]
        # Half of the time that the call took lies behind the database's answer.
        self.clock_skew = clock - time.time() + (time.monotonic() - sent_at) / 2
        self._kept(registration, sent_at)
        if drain != self.draining:
            self._drain(registration, drain)
        for job_id in cancelled or ():
            self._holder.told(held[job_id], "cancel")
        for job_id in lost or ():
            self._holder.told(held[job_id], "lost")
        if suspects:
            self._holder.want_solo()

    def _kept(self, registration: Registration, sent_at: float) -> None:
        first = self.answered_at == 0.0
        self.answered_at = sent_at
        self._deadline = sent_at + 0.9 * registration.lease
        if self.suspended or first:
            self.suspended = False
            if not self.draining:
                self._holder.go(registration)

    def _drain(self, registration: Registration, on: bool) -> None:
        log.info("draining: nothing more is claimed" if on else "drains no more")
        self.draining = on
        if on:
            self._holder.rest()
        else:
            self._holder.go(registration)
        self.hurry()

    def _suspend(self) -> None:
        self.suspended = True
        self._holder.drop()
