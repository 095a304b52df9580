"""The supervisor: keeps the worker registered and its children running. It runs no job itself."""

from __future__ import annotations

import asyncio
import itertools
import random
import signal
import time
from collections.abc import Callable
from typing import Any, Literal, cast
from uuid import UUID

import anyio
import psycopg

from pgq.connections import Rows
from pgq.errors import ConfigError, PgqError
from pgq.sd_notify import Notifier
from pgq.upkeep import PATIENT, PROMPT, Upkeep
from pgq_worker import arrays, logs, metrics
from pgq_worker.child import REFUSED, YIELD, slots_for
from pgq_worker.execution import timed_out
from pgq_worker.jobs import ClaimedJob, Row
from pgq_worker.measures import Measures, total
from pgq_worker.plan import ChildPlan, Plan
from pgq_worker.processes import ChildProcess
from pgq_worker.registration import Registration, Standing, State
from pgq_worker.reports import FAIL_MANY, RELEASE, fail_arguments
from pgq_worker.sessions import Session
from pgq_worker.slots import Held

log = logs.get("supervisor")

KILL_AFTER = 1.0
"""Seconds past its timeout after which a handler's process is killed."""
_TICK = 0.2

HELD = (
    "select j.id, j.queue, j.task, null, j.attempt, j.max_attempts, "
    "extract(epoch from j.timeout)::float8, j.suspect, p.headers::text "
    "from pgq.get_jobs(p_ids => ?::bigint[]) as j "
    "cross join lateral pgq.get_payload(p_id => j.id) as p"
)
RELEASE_EXECUTOR = (
    "select id, state from pgq.release_executor(p_worker => ?, p_executor => ?, "
    "p_begun => ?::bigint[])"
)


class Supervisor:
    """Runs a worker from `run` until it is told to stop."""

    def __init__(self, plan: Plan, *, notifier: Notifier, check: Callable[[int], None]) -> None:
        self._plan = plan
        self._notifier = notifier
        self._sessions = {
            kind: Session(plan.dsn, name=f"pgq {kind} of {plan.title}"[:63])
            for kind in ("heartbeat", "affairs", "upkeep", "slow upkeep")
        }
        self._affairs = self._sessions["affairs"]
        self._standing = Standing(self._sessions["heartbeat"], plan, self, check=check)
        self._children: dict[int, ChildProcess] = {}
        self._fallen: dict[int, list[Held]] = {}
        """What dead children held, until the database knows."""
        self._executors = itertools.count(1)
        self._stopping = asyncio.Event()
        self._now = asyncio.Event()
        self._ended = asyncio.Event()
        self._loaded = False
        self._soloists = 0
        self._past = Measures()
        """What children counted that have ended."""
        self._deaths = 0
        self._began = time.monotonic()
        self._loop: asyncio.AbstractEventLoop
        self._group: anyio.abc.TaskGroup

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT. Raises `ConfigError` when the app cannot be loaded."""
        self._loop = loop = asyncio.get_running_loop()
        if self._plan.metrics_port is not None:
            port = metrics.serve(self._ask, self._plan.metrics_host, self._plan.metrics_port)
            log.info("metrics are at http://%s:%d/metrics", self._plan.metrics_host, port)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        try:
            async with anyio.create_task_group() as self._group:
                for duty in (
                    self._standing.run,
                    self._standing.guard,
                    Upkeep(self._sessions["upkeep"].fetch, PROMPT).run,
                    Upkeep(self._sessions["slow upkeep"].fetch, PATIENT).run,
                    self._end_overdue,
                    self._show_life,
                ):
                    self._group.start_soon(duty)
                seats = [seat for seat in range(self._plan.processes) if self._plan.limits(seat)]
                if len(seats) < self._plan.processes:
                    log.warning(
                        "%d of the processes have no share of any queue",
                        self._plan.processes - len(seats),
                    )
                for seat in seats:
                    self._group.start_soon(self._occupy, seat)
                await self._stopping.wait()
                await self._drain()
                self._group.cancel_scope.cancel()
        finally:
            for child in self._children.values():
                child.kill()
            for session in self._sessions.values():
                await session.close()

    def stop(self) -> None:
        """Stop in good order; the second time, at once."""
        if self._stopping.is_set():
            self._now.set()
        self._stopping.set()

    # What the standing asks and tells

    def claiming(self) -> list[UUID]:
        """Tokens of claims whose answer no child has taken note of."""
        tokens = [child.slots.claiming for child in self._children.values()]
        return [token for token in tokens if token is not None]

    def held(self) -> list[Held]:
        """Jobs in the hands of the children, and of dead ones until the database knows."""
        jobs = [job for held in self._fallen.values() for job in held]
        for child in self._children.values():
            jobs += child.slots.held()
        return jobs

    def busy(self) -> int:
        return sum(child.slots.busy for child in self._children.values())

    def state(self) -> State:
        if self._stopping.is_set() or self._standing.draining:
            return "draining"
        return "busy" if self.busy() >= self._plan.slots else "available"

    def go(self, registration: Registration) -> None:
        for child in self._children.values():
            if child.ready:
                child.send("go", worker=registration.worker, poll=registration.poll)
        self._notifier.ready(f"worker {registration.worker}: {self._plan.processes} processes")

    def rest(self) -> None:
        for child in self._children.values():
            child.send("rest")

    def drop(self) -> None:
        for child in self._children.values():
            child.send("drop")

    def told(self, job: Held, what: Literal["cancel", "lost"]) -> None:
        for child in self._children.values():
            child.send(what, job=job.id, token=str(job.token))

    def want_solo(self, count: int = 1) -> None:
        """Have suspects run, each alone in a process."""
        registration = self._standing.registration
        if registration is None or self._stopping.is_set() or self._standing.draining:
            return
        for child in self._children.values():
            if child.suspects and child.idle:
                child.wake()
                count -= 1
        room = registration.solo_children - self._soloists
        for _ in range(min(count, room)):
            self._soloists += 1
            self._group.start_soon(self._solo)

    # Children

    async def _occupy(self, seat: int) -> None:
        """Keep a child running; one that dies at once comes back after a pause that grows."""
        pause = 0.0
        while not self._stopping.is_set():
            child = await self._start(
                self._plan.limits(seat), self._plan.concurrency, suspects=False
            )
            status = await self._attend(child)
            if status == REFUSED and not self._loaded:
                raise ConfigError(child.refusal or "the app cannot be loaded")
            pause = (
                0.0 if time.monotonic() - child.started_at > 10 else min(max(2 * pause, 0.1), 30.0)
            )
            with anyio.move_on_after(pause * random.uniform(0.5, 1.0)):  # noqa: S311
                await self._stopping.wait()

    async def _solo(self) -> None:
        try:
            child = await self._start(dict.fromkeys(self._plan.queues, 1), 1, suspects=True)
            await self._attend(child)
        finally:
            self._soloists -= 1

    async def _start(
        self, limits: dict[str, int], concurrency: int, *, suspects: bool
    ) -> ChildProcess:
        child = await ChildProcess.start(
            ChildPlan(
                app=self._plan.app,
                dsn=self._plan.dsn,
                listen_dsn=self._plan.listen_dsn,
                title=self._plan.title,
                executor=next(self._executors),
                limits=limits,
                concurrency=concurrency,
                slots=slots_for(concurrency),
                suspects=suspects,
                describes=not self._loaded,
                log_level=self._plan.log_level,
                log_format=self._plan.log_format,
                measures=self._plan.metrics_port is not None,
            )
        )
        self._children[child.executor] = child
        log.debug("child %d started as process %d", child.executor, child.pid)
        if self._stopping.is_set():
            child.send("stop", grace=self._plan.grace)
        return child

    async def _attend(self, child: ChildProcess) -> int:
        """Hear a child until it has ended, then settle what it held; its exit status."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._converse, child)
            status = await child.wait()
            group.cancel_scope.cancel()
        held = child.slots.held()
        del self._children[child.executor]
        self._past = total([self._past, child.measures])
        child.close()
        in_order = status == 0 or self._stopping.is_set()
        if not in_order and status != REFUSED:
            self._deaths += 1
            log.error(
                "child %d ended %s",
                child.executor,
                f"by signal {-status}" if status < 0 else f"with status {status}",
            )
        if held:
            self._fallen[child.executor] = held
            self._group.start_soon(self._settle, child, held, in_order)
        self._ended.set()
        return status

    async def _converse(self, child: ChildProcess) -> None:
        while (message := await child.channel.receive()) is not None:
            match message:
                case {"kind": "ready", "tasks": dict(tasks)}:
                    if not self._loaded:
                        self._standing.register(tasks)
                    child.ready = self._loaded = True
                    registration = self._standing.registration
                    if registration is not None and self._standing.claims:
                        child.send("go", worker=registration.worker, poll=registration.poll)
                case {"kind": "refused", "reason": str(reason)}:
                    child.refusal = reason
                    log.error("%s", reason)
                case {"kind": "measures", "values": dict(values)}:
                    child.measures = Measures.load(values)
                case {"kind": "expired"}:
                    self._standing.hurry()
                case _:
                    log.error("child %d said something unknown: %s", child.executor, message)

    async def _settle(self, child: ChildProcess, held: list[Held], in_order: bool) -> None:
        """Give back what a dead child held; unless it was told to end, begun jobs are blamed."""
        registration = self._standing.registration
        try:
            if in_order:
                await self._affairs.insist(
                    RELEASE,
                    (
                        arrays.bigints([job.id for job in held]),
                        arrays.uuids([job.token.bytes for job in held]),
                        arrays.flags([job.begun for job in held]),
                    ),
                )
            else:
                known = await self._known(held)
                late = {(job.id, job.token): job for job in child.overdue}
                if timeouts := [job for job in held if (job.id, job.token) in late]:
                    for job in timeouts:
                        log.error(
                            "it ignored its timeout; its process was killed",
                            extra=_about(job.id, known),
                        )
                    reports = [_report(late[job.id, job.token]) for job in timeouts]
                    await self._affairs.insist(FAIL_MANY, fail_arguments(reports))
                if registration is not None:
                    begun = [job.id for job in held if job.begun]
                    rows = await self._affairs.insist(
                        RELEASE_EXECUTOR,
                        (registration.worker, child.executor, arrays.bigints(begun)),
                    )
                    self._note(rows, known)
        except (PgqError, psycopg.Error) as error:
            log.error("cannot give back what child %d held: %s", child.executor, error)
        finally:
            self._fallen.pop(child.executor, None)
            self._ended.set()

    async def _known(self, held: list[Held]) -> dict[int, ClaimedJob]:
        """What the log tells of jobs whose process is gone."""
        tokens = {job.id: job.token.bytes for job in held}
        try:
            rows = await self._affairs.insist(HELD, (arrays.bigints(tokens),))
        except (PgqError, psycopg.Error) as error:
            log.debug("cannot look up what was held: %s", error)
            return {}
        return {row[0]: ClaimedJob(cast(Row, row), tokens[row[0]]) for row in rows}

    def _note(self, rows: Rows, known: dict[int, ClaimedJob]) -> None:
        for job_id, state in rows:
            log.warning(
                "the process that held it died", extra={**_about(job_id, known), "state": state}
            )
        suspects = sum(state == "suspect" for _, state in rows)
        if suspects:
            self.want_solo(suspects)

    async def _end_overdue(self) -> None:
        """Kill children whose handlers ignore their timeout, for good."""
        while True:
            now = time.monotonic()
            for child in self._children.values():
                if child.slots.busy and not child.overdue:
                    child.overdue = [
                        job for job in child.slots.held() if job.overdue(now) > KILL_AFTER
                    ]
                    if child.overdue:
                        child.kill()
            await asyncio.sleep(_TICK)

    # Metrics

    def _ask(self) -> metrics.Standing:
        """How the worker stands, for the thread that tells its metrics."""
        return asyncio.run_coroutine_threadsafe(self._tell(), self._loop).result(5)

    async def _tell(self) -> metrics.Standing:
        children = list(self._children.values())
        return metrics.Standing(
            registered=self._standing.registration is not None,
            draining=self.state() == "draining",
            slots=self._plan.slots,
            busy_slots=self.busy(),
            held_jobs=len(self.held()),
            children=len(children),
            child_deaths=self._deaths,
            heartbeat_age_seconds=time.monotonic() - (self._standing.answered_at or self._began),
            clock_skew_seconds=self._standing.clock_skew,
            measures=total([self._past, *(child.measures for child in children)]),
        )

    # Life and end

    async def _show_life(self) -> None:
        while self._notifier.is_heard:
            if self._is_well():
                self._notifier.alive()
            if self._standing.answered_at and not self._stopping.is_set():
                self._notifier.status(self._status())
            await asyncio.sleep(self._notifier.interval)

    def _status(self) -> str:
        registration = self._standing.registration
        if registration is None:
            return "registering anew: the worker has expired"
        silent = time.monotonic() - self._standing.answered_at
        if silent > registration.heartbeat + 2:
            return f"worker {registration.worker}: no heartbeat answered for {silent:.0f} s"
        what = "draining" if self._standing.draining else "claiming"
        return f"worker {registration.worker}: {what}, {self.busy()} of {self._plan.slots} busy"

    def _is_well(self) -> bool:
        now = time.monotonic()
        registration = self._standing.registration
        return (
            registration is not None
            and now - self._standing.answered_at < registration.lease
            and all(child.progresses(now, registration.poll) for child in self._children.values())
        )

    async def _drain(self) -> None:
        """Have the children end within the grace period, then unregister."""
        log.info("stopping: running jobs have %g s", self._plan.grace)
        self._notifier.stopping()
        self._standing.hurry()
        for child in self._children.values():
            child.send("stop", grace=self._plan.grace)
        # A child needs a moment more than the grace to give back what it holds.
        with anyio.move_on_after(self._plan.grace + YIELD + 0.5):
            await self._until_ended(self._now)
        for child in self._children.values():
            child.kill()
        with anyio.move_on_after(2):
            await self._until_ended(None)
        await self._standing.leave()
        for session in self._sessions.values():
            session.sever()
        log.info("stopped")

    async def _until_ended(self, give_up: asyncio.Event | None) -> None:
        while (self._children or self._fallen) and not (give_up is not None and give_up.is_set()):
            self._ended.clear()
            with anyio.move_on_after(0.1):
                await self._ended.wait()


def _about(job_id: int, known: dict[int, ClaimedJob]) -> dict[str, object]:
    job = known.get(job_id)
    return {"job": job_id} if job is None else logs.about(job)


def _report(job: Held) -> tuple[ClaimedJob, Any]:
    claimed = ClaimedJob((job.id, "", "", "", 0, 0, job.timeout, False, None), job.token.bytes)
    claimed.ran = time.monotonic() - job.begun_at
    return claimed, timed_out(job.timeout)
