"""Compares what a session sees with what the model says that it sees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from faults.field import Seen, Sight
from faults.model import Broken, Job, Lane, Model, Window, Worker

SLACK = timedelta(seconds=5)
"""Between this program's look at the time and the database's."""


class Witness:
    """Learns from each look what the database was free to choose."""

    def __init__(self, model: Model, lanes: Mapping[int, Lane]) -> None:
        self._model, self._lanes = model, lanes
        self._highest = 0

    def changed(self, session: int, sight: Sight) -> list[int]:
        """Jobs that stand elsewhere than the model says, or are gone; in the order of ids."""
        return [
            job.id
            for job in self._model.jobs(session)
            if (seen := sight.stands.get(job.id)) is None
            or seen.kind != job.place
            or (job.place == "lease" and seen.token != job.token)
        ]

    def compare(self, session: int, sight: Sight, *, may_reseat: bool = False) -> None:
        """Raise `Broken` when they differ."""
        model = self._model
        jobs = {job.id: job for job in model.jobs(session)}
        if strange := set(sight.asked) - set(jobs):
            raise Broken(f"jobs {strange} should not be there")
        if lost := [job for job in jobs if job not in sight.stands or job not in sight.asked]:
            raise Broken(f"jobs {lost} stand nowhere: {[jobs[job] for job in lost]}")
        highest = self._highest
        for number, seen in sight.stands.items():
            if not (job := jobs.get(number)):
                raise Broken(f"job {number} is gone, but stands in {seen.kind}")
            learned = self._learn(job, seen, sight.asked[number], highest, may_reseat)
            if learned != job:
                model.rows.learn(session, job.row, learned)
            self._differ(f"job {number}", _said(learned, seen), self._seen(seen))
            self._differ(
                f"job {number} as it was asked for",
                (learned.queue, learned.priority, learned.reserved, learned.run_at),
                (
                    sight.asked[number].why,
                    sight.asked[number].attempt,
                    sight.asked[number].flag,
                    sight.asked[number].at,
                ),
            )
            self._differ(
                f"the attempts of job {number}",
                sorted(learned.attempts, key=str),
                sorted(
                    ((a.attempt, a.why, a.flag, a.token) for a in sight.attempts.get(number, ())),
                    key=str,
                ),
            )
            self._differ(
                f"the log lines of job {number}",
                model.rows.get(session, ("lines", number)) or 0,
                sight.lines[number],
            )
        keys = {f"{job.queue}/{job.key}": job.id for job in jobs.values() if job.key}
        held = {key: model.rows.get(session, ("key", *key.split("/"))) for key in keys}
        self._differ("unique keys", {k: v for k, v in held.items() if v}, sight.keys)
        self._differ("requests", set(model.rows.all(session, "request")), sight.requests)
        self._differ("who drains", set(model.rows.all(session, "drain")), sight.draining)
        self._differ(
            "operations",
            {each.id: (each.state, each.done) for each in model.rows.all(session, "operation")},
            {each.id: (each.why, each.attempt) for each in sight.operations.values()},
        )
        self._differ(
            "workers",
            {worker.id: worker for worker in model.rows.all(session, "worker")},
            {
                worker.id: Worker(worker.id, _known(worker.at), worker.flag)
                for worker in sight.workers.values()
            },
        )
        for name, queue in sight.queues.items():
            of_model = model.queue(session, name)
            self._differ(
                f"queue {name}",
                (of_model.is_paused, of_model.max_attempts),
                (queue.flag, queue.attempt),
            )
        assert sight.clock is not None
        self._differ("the lease clock", model.clock, sight.clock.at)

    def _learn(self, job: Job, seen: Seen, asked: Seen, highest: int, may_reseat: bool) -> Job:
        if job.place == "ready" and seen.kind == "ready" and job.seq != seen.n:
            if job.seq and not may_reseat:
                raise Broken(f"job {job.id} lost its place: seq {job.seq}, then {seen.n}")
            if seen.n <= highest:
                raise Broken(f"job {job.id} has seq {seen.n}, which was drawn before {highest}")
            self._highest = max(self._highest, seen.n)
            job = replace(job, seq=seen.n)
        if job.place == "delayed" and isinstance(job.at, Window) and seen.at:
            if not job.at.low - SLACK <= seen.at <= job.at.high:
                raise Broken(f"job {job.id} is due at {seen.at}, not in {job.at}")
            job = replace(job, at=seen.at)
        if job.place == "dead" and job.at is None:
            job = replace(job, at=seen.at)
        if job.run_at and asked.at and abs(job.run_at - asked.at) < SLACK:
            job = replace(job, run_at=asked.at)
        return job

    def _seen(self, seen: Seen) -> tuple[Any, ...]:
        lane = self._lanes.get(seen.lane) if seen.lane is not None else None
        return (
            seen.kind,
            lane,
            seen.attempt,
            seen.crashes,
            seen.suspect,
            seen.flag,
            seen.unknown,
            seen.why,
            seen.token,
            seen.worker,
            seen.executor,
            seen.at,
            seen.overdue,
        )

    def _differ(self, what: str, expected: object, found: object) -> None:
        if expected != found:
            raise Broken(f"{what}: expected {expected}, found {found}")


def _said(job: Job, seen: Seen) -> tuple[Any, ...]:
    """A job as its row has to look; what the row does not tell is as it is there."""
    waits = job.place in ("ready", "delayed", "lease")
    leased = job.place == "lease"
    return (
        job.place,
        None if job.place == "dead" else (job.queue, job.priority, job.suspect, job.reserved),
        job.attempt,
        job.crashes if job.place != "finished" else None,
        job.suspect if waits else None,
        None if job.place == "finished" else job.key is not None,
        job.unknown if waits else None,
        None if job.place in ("ready", "lease") else job.why,
        job.token if job.place in ("lease", "finished") else None,
        job.worker if leased else None,
        job.executor if leased else None,
        job.expires if leased else (job.at if job.place in ("delayed", "dead") else None),
        job.overdue if leased else None,
    )


def _known(at: datetime | None) -> datetime:
    assert at is not None
    return at
