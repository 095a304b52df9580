"""Sessions that call the public verbs in any order, one statement at a time, beside the model."""

from __future__ import annotations

import functools
import json
import math
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, ClassVar, TypeVar, cast
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from psycopg import sql

from faults import model
from faults.field import OWNER, PRIORITIES, QUEUES, SESSIONS, Field, Sight
from faults.model import HOUR, Broken, Item, Job, Model, Operation, Pair, Refused
from faults.witness import Witness

T = TypeVar("T")
SESSION = st.integers(0, SESSIONS - 1)
PICK = st.integers(0, 999)
FEW = st.lists(PICK, min_size=1, max_size=4)
LIMIT = st.sampled_from([1, 2, 3, 10])
DELAY = st.sampled_from([timedelta(0), HOUR])
ITEM = st.builds(
    lambda queue, priority, key, most, hours, reserved: (
        *(queue, priority, key, most),
        *(hours, reserved),
    ),
    st.sampled_from(QUEUES),
    st.sampled_from(PRIORITIES),
    st.sampled_from([None, None, "k", "l"]),
    st.sampled_from([None, 1, 3]),
    st.sampled_from([None, None, -1, 1]),
    st.sampled_from([False, False, False, True]),
)
TASKS = ("work", "pgq.work")
"""The second is reserved for who asks for such."""
INSERT = sql.SQL(
    "insert into pgq.job (task, queue, priority, unique_key, max_attempts, run_at)"
    " select i.* from unnest(%(tasks)s::text[], %(queues)s::text[], %(priorities)s::integer[],"
    " %(keys)s::text[], %(most)s::integer[], %(run_ats)s::timestamptz[]) i"
    " returning id"
)
DEFAULT_LIMIT = 1000
MAX_SHIFT = timedelta(seconds=2, milliseconds=1)
"""By which one round of upkeep moves the lease clock."""
ROUNDS = 20
"""In which everything that is left has to come to its end."""
LATER = timedelta(days=1)


def act(**strategies: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A rule of a machine that is at work."""

    def made(function: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(function)
        def played(self: Machine, *given: Any, **drawn: Any) -> None:
            try:
                function(self, *given, **drawn)
            except Exception as error:
                self.tell(f"broken: {error}")
                raise

        return cast(Callable[..., None], _rule(**strategies)(_at_work(played)))

    return made


_rule: Any = rule
_at_work: Any = precondition(lambda self: self.is_at_work)


class Machine(RuleBasedStateMachine):
    """Plays on `field`; what it came to stands in `evidence` when the model was broken."""

    field: ClassVar[Field]
    evidence: ClassVar[list[str]] = []
    until: ClassVar[float] = math.inf
    """On the monotonic clock. Later simulations do nothing: a search for shorter ones ends."""
    steps: ClassVar[int] = 0
    is_at_work = False
    has_failed = False

    @initialize(chance=st.integers(0, 999_999), items=st.lists(ITEM, min_size=3, max_size=8))
    def open(self, chance: int, items: list[Any]) -> None:
        """Begin with some jobs and two workers. The simplest of all simulations, with which every
        run of hypothesis begins, does nothing."""
        if chance == 0 or time.monotonic() > self.until:
            return
        self.is_at_work = True
        self.model = Model(self.field.reset(chance / 1_000_000))
        self.witness = Witness(self.model, self.field.lanes)
        self.tokens: dict[UUID, tuple[list[int], dict[str, Any]]] = {}
        self.pairs: list[Pair] = []
        self.ids: list[int] = []
        self.workers: list[int] = []
        self.old: set[int] = set()
        self.operations: list[int] = []
        for session in (0, 1):
            self.register(session=session)
        self.enqueue_many(session=0, items=items)

    @precondition(lambda self: not self.is_at_work)
    @rule()
    def idle(self) -> None:
        """There is nothing to do."""

    def teardown(self) -> None:
        """Whatever was left comes to its end, and nothing is lost."""
        if self.is_at_work and not self.has_failed:
            try:
                self.finish()
            except Exception as error:
                self.tell(f"broken at the end: {error}")
                raise

    def tell(self, what: str) -> None:
        """Keep the shortest sequence of statements that broke the model."""
        self.has_failed = True
        told = [*self.field.told(), what]
        if not self.evidence or len(told) < len(self.evidence):
            type(self).evidence = told

    # How a step is played

    def foretold(
        self, session: int, foretell: Callable[[], T], verb: str, /, **arguments: Any
    ) -> Any:
        """The model's answer and the database's; None when both have refused alike."""
        return self.compared(
            foretell,
            lambda may_fail: self.field.call(session, verb, arguments, may_fail=may_fail),
            verb,
        )

    def compared(
        self,
        foretell: Callable[[], T],
        ask: Callable[[bool], list[tuple[Any, ...]] | Refused],
        what: str,
    ) -> tuple[T, list[tuple[Any, ...]]] | None:
        type(self).steps += 1
        try:
            expected: T | Refused = foretell()
        except Refused as refused:
            expected = refused
        answer = ask(isinstance(expected, Refused))
        codes = [e.code if isinstance(e, Refused) else "none" for e in (expected, answer)]
        if codes[0] != codes[1]:
            raise Broken(f"{what}: expected refusal {codes[0]}, found {codes[1]}: {answer}")
        if isinstance(expected, Refused) or isinstance(answer, Refused):
            return None
        return expected, answer

    def exactly(self, session: int, foretell: Callable[[], T], verb: str, **arguments: Any) -> None:
        """A verb that answers with one value, which the model knows."""
        if both := self.foretold(session, foretell, verb, **arguments):
            expected, ((found,),) = both
            if expected not in (None, found):
                raise Broken(f"{verb} answered {found}, not {expected}")
        self.look(session)

    def look(self, session: int, *, may_reseat: bool = False) -> None:
        self.witness.compare(session, self.field.look(session), may_reseat=may_reseat)

    def each(
        self, session: int, foretell: Callable[[], dict[int, str]], verb: str, **arguments: Any
    ) -> None:
        """A verb that answers with a state for each job."""
        if both := self.foretold(session, foretell, verb, **arguments):
            expected, rows = both
            if expected != (found := {row[0]: row[1] for row in rows}):
                raise Broken(f"{verb} answered {found}, not {expected}")
        self.look(session)

    def lost(
        self, session: int, foretell: Callable[[], set[int]], verb: str, **arguments: Any
    ) -> None:
        """A verb that answers with the jobs that are lost."""
        if both := self.foretold(session, foretell, verb, **arguments):
            expected, rows = both
            if expected != (found := {row[0] for row in rows}):
                raise Broken(f"{verb} answered that {found} are lost, not {expected}")
        self.look(session)

    def pair(self, session: int, pick: int) -> Pair:
        """Mostly of a running job; now and then one that is stale, best while the job runs."""
        leases = self.model.jobs(session, "lease")
        live = [(job.id, job.token) for job in leases if job.token]
        running = {job for job, _ in live}
        stale = [pair for pair in self.pairs if pair[0] in running and pair not in live]
        known = (live if pick % 5 else stale) or self.pairs
        return known[pick // 5 % len(known)] if known else (self.ids[0], UUID(int=0))

    def few(self, session: int, picks: Sequence[int]) -> list[Pair]:
        """Pairs of different jobs."""
        return list(dict(self.pair(session, pick) for pick in picks).items())

    def some_job(self, session: int, pick: int, *places: model.Place) -> int:
        """Mostly a job that stands in these places."""
        fitting = [job.id for job in self.model.jobs(session, *places)] if pick % 4 else []
        known = fitting or self.ids
        return known[pick // 4 % len(known)]

    # Transactions

    @act(pick=PICK)
    def begin(self, pick: int) -> None:
        closed = [s for s in range(SESSIONS) if not self.model.rows.is_open(s)]
        if len(closed) > 1:
            session = closed[pick % len(closed)]
            self.field.run(session, "begin")
            ((at,),) = self.field.run(session, "select now()")
            self.model.begin(session, at)

    @act(pick=PICK, commit=st.sampled_from([True, True, False]))
    def end(self, pick: int, commit: bool) -> None:
        if open_ones := self.model.rows.open:
            self.close(open_ones[pick % len(open_ones)], commit=commit)

    def close(self, session: int, *, commit: bool) -> None:
        self.field.run(session, "commit" if commit else "rollback")
        self.model.end(session, commit=commit)
        self.look(session)

    # Producers

    def _item(self, drawn: Any) -> Item:
        queue, priority, key, most, hours, reserved = drawn
        run_at = None if hours is None else model.now() + hours * HOUR
        return Item(queue, priority, key, most, run_at, reserved)

    @act(session=SESSION, item=ITEM)
    def enqueue(self, session: int, item: Any) -> None:
        wanted = self._item(item)
        both = self.foretold(
            session,
            lambda: self.model.holders(session, [wanted]),
            "enqueue",
            task=TASKS[wanted.reserved],
            queue=wanted.queue,
            priority=wanted.priority,
            unique_key=wanted.key,
            max_attempts=wanted.max_attempts,
            run_at=wanted.run_at,
        )
        if both:
            self._made(session, [wanted], both[0], both[1])
        self.look(session)

    @act(session=SESSION, items=st.lists(ITEM, min_size=1, max_size=5))
    def enqueue_many(self, session: int, items: list[Any]) -> None:
        wanted = [self._item(item) for item in items]
        both = self.foretold(
            session,
            lambda: self.model.holders(session, wanted),
            "enqueue_many",
            jobs=json.dumps(
                [
                    {
                        "task": TASKS[item.reserved],
                        "queue": item.queue,
                        "priority": item.priority,
                        "unique_key": item.key,
                        "max_attempts": item.max_attempts,
                        "run_at": item.run_at.isoformat() if item.run_at else None,
                    }
                    for item in wanted
                ]
            ),
        )
        if both:
            self._made(session, wanted, both[0], [row[1:] for row in both[1]])
        self.look(session)

    @act(session=SESSION, items=st.lists(ITEM, min_size=1, max_size=5))
    def insert(self, session: int, items: list[Any]) -> None:
        """What any program can do."""
        wanted = [self._item(item) for item in items]
        self.field.calls["insert"] += 1
        both = self.compared(
            lambda: self.model.holders(session, wanted),
            lambda may_fail: self.field.ask(
                session,
                INSERT,
                {
                    "tasks": [TASKS[item.reserved] for item in wanted],
                    "queues": [item.queue for item in wanted],
                    "priorities": [item.priority for item in wanted],
                    "keys": [item.key for item in wanted],
                    "most": [item.max_attempts for item in wanted],
                    "run_ats": [item.run_at for item in wanted],
                },
                may_fail=may_fail,
            ),
            "insert",
        )
        if both:
            made = [item for item, holder in zip(wanted, both[0], strict=True) if holder is None]
            if len(made) != len(both[1]):
                raise Broken(f"insert made {both[1]} of {made}")
            for item, (job,) in zip(made, both[1], strict=True):
                self._add(session, job, item)
        self.look(session)

    def _made(
        self,
        session: int,
        wanted: Sequence[Item],
        holders: Sequence[int | None],
        rows: Sequence[tuple[Any, ...]],
    ) -> None:
        for item, holder, (job, created) in zip(wanted, holders, rows, strict=True):
            expected = rows[-holder - 1][0] if holder and holder < 0 else holder
            if created != (holder is None) or expected not in (None, job):
                raise Broken(f"{item} was answered ({job}, {created}); the key is of {expected}")
            if created:
                self._add(session, job, item)

    def _add(self, session: int, job: int, item: Item) -> None:
        if self.ids and job <= self.ids[-1]:
            raise Broken(f"id {job} after {self.ids[-1]}")
        self.ids.append(job)
        self.model.add(session, job, item)

    # Workers

    @act(session=SESSION)
    def register(self, session: int) -> None:
        both = self.foretold(
            session, lambda: None, "register_worker", name="w", queues=list(QUEUES), slots=5
        )
        assert both
        worker = both[1][0][0]
        self.workers.append(worker)
        self.model.register(session, worker)
        self.look(session)

    @act(session=SESSION, pick=PICK, unlisted=st.sampled_from([0, 0, 1, 5]))
    def heartbeat(self, session: int, pick: int, unlisted: int) -> None:
        worker = self.workers[pick % len(self.workers)]
        pairs = [
            (job.id, job.token)
            for job in self.model.jobs(session, "lease")
            if job.worker == worker and job.token
        ]
        claims = {token for _, token in pairs[: pick % 3 == 2]}
        self._heartbeat(session, worker, pairs[unlisted:], claims=claims, offline=pick % 19 == 18)

    def _heartbeat(
        self,
        session: int,
        worker: int,
        pairs: Sequence[Pair],
        *,
        claims: Collection[UUID] = (),
        offline: bool = False,
    ) -> None:
        both = self.foretold(
            session,
            lambda: self.model.heartbeat(session, worker, pairs, offline=offline),
            "heartbeat",
            worker=worker,
            ids=[job for job, _ in pairs],
            tokens=[token for _, token in pairs],
            state="offline" if offline else "available",
            claims=list(claims),
        )
        sight = self.field.look(session)
        if both:
            expected, ((cancelled, lost, _, drains),) = both
            if expected != (set(cancelled), set(lost), drains):
                raise Broken(f"heartbeat told {both[1]}, not {expected}")
            gone = self.witness.changed(session, sight)
            self.model.give_back_unlisted(session, worker, pairs, claims, gone)
        self.witness.compare(session, sight)

    @act(
        session=SESSION,
        pick=PICK,
        order=st.permutations(QUEUES),
        limits=st.lists(st.sampled_from([0, 1, 2, 5]), min_size=3, max_size=3),
        lease=st.sampled_from([None, None, timedelta(minutes=5), 3 * HOUR]),
        suspects=st.sampled_from([None, None, None, True, False]),
        reserved=st.booleans(),
    )
    def claim(
        self,
        session: int,
        pick: int,
        order: list[str],
        limits: list[int],
        lease: timedelta | None,
        suspects: bool | None,
        reserved: bool,
    ) -> None:
        worker = [0, *self.workers][pick % (len(self.workers) + 1)]
        token = UUID(int=len(self.tokens) + 1)
        self._claim(
            session,
            token,
            {
                "worker": worker,
                "executor": pick % 2,
                "queues": order,
                "limits": limits,
                "lease": lease,
                "suspects": suspects,
                "reserved": reserved,
            },
        )

    @act(session=SESSION, order=st.permutations(QUEUES))
    def claim_much(self, session: int, order: list[str]) -> None:
        self._claim(
            session,
            UUID(int=len(self.tokens) + 1),
            {
                "worker": self.workers[-1],
                "executor": 1,
                "queues": order,
                "limits": [4, 4, 4],
                "lease": None,
                "suspects": None,
                "reserved": True,
            },
        )

    @act(session=SESSION, pick=PICK)
    def claim_again(self, session: int, pick: int) -> None:
        """A claim whose answer was lost is repeated with its token."""
        tokens = [
            token
            for token, (jobs, _) in self.tokens.items()
            if self._may_repeat(session, token, jobs)
        ]
        if tokens:
            token = tokens[pick % len(tokens)]
            self._claim(session, token, self.tokens[token][1])

    def _may_repeat(self, session: int, token: UUID, jobs: Sequence[int]) -> bool:
        """Whether it has all that it got, or was rolled back: no job may be leased under one token
        twice."""
        if held := self.model.holding(session, token):
            return {job.id for job in held} == set(jobs)
        return all(self._never_held(session, token, job) for job in jobs)

    def _never_held(self, session: int, token: UUID, number: int) -> bool:
        job = self.model.job(session, number)
        return (
            job is not None
            and job.token != token
            and all(each != token for *_, each in job.attempts)
        )

    def _claim(self, session: int, token: UUID, arguments: dict[str, Any]) -> None:
        queues, limits = arguments["queues"], arguments["limits"]
        both = self.foretold(
            session,
            lambda: self.model.claim(session, arguments["worker"], token, queues, limits),
            "claim",
            token=token,
            **arguments,
        )
        if both:
            got = [row[0] for row in both[1]]
            if held := self.model.holding(session, token):
                if got != [job for job in self.tokens[token][0] if job in {j.id for j in held}]:
                    raise Broken(f"claim repeated with {token} returned {got}")
            else:
                self.model.claimed(session, got, token=token, **arguments)
                self.tokens[token] = (got, arguments)
                self.pairs += [(job, token) for job in got]
        self.look(session)

    # Who holds a token

    @act(session=SESSION, pick=PICK)
    def complete(self, session: int, pick: int) -> None:
        pair = self.pair(session, pick)

        def foretell() -> None:
            if "lost" in self.model.complete(session, [pair]).values():
                raise Refused(model.LOST)

        self.exactly(session, foretell, "complete", id=pair[0], token=pair[1])

    @act(session=SESSION, picks=FEW, too_large=st.sampled_from([False, False, False, True]))
    def complete_many(self, session: int, picks: list[int], too_large: bool) -> None:
        pairs = self.few(session, picks)
        result = json.dumps("x" * model.RESULT_LIMIT * too_large)
        self.each(
            session,
            lambda: self.model.complete(session, pairs, too_large=too_large),
            "complete_many",
            ids=[job for job, _ in pairs],
            tokens=[token for _, token in pairs],
            results=[result] * len(pairs),
        )

    @act(
        session=SESSION,
        picks=FEW,
        permanent=st.sampled_from([False, False, True]),
        retry_in=st.sampled_from([None, timedelta(0), timedelta(0), HOUR]),
        reason=st.sampled_from(["error", "timeout"]),
    )
    def fail(
        self,
        session: int,
        picks: list[int],
        permanent: bool,
        retry_in: timedelta | None,
        reason: str,
    ) -> None:
        pairs = self.few(session, picks)
        count = len(pairs)
        self.each(
            session,
            lambda: self.model.fail(
                session, pairs, permanent=permanent, retry_in=retry_in, reason=reason
            ),
            "fail_many",
            ids=[job for job, _ in pairs],
            tokens=[token for _, token in pairs],
            permanents=[permanent] * count,
            retry_ins=[retry_in] * count,
            reasons=[reason] * count,
        )

    @act(session=SESSION, pick=PICK)
    def fail_one(self, session: int, pick: int) -> None:
        pair = self.pair(session, pick)

        def foretell() -> str:
            (state,) = self.model.fail(
                session, [pair], permanent=False, retry_in=timedelta(0), reason="error"
            ).values()
            if state == "lost":
                raise Refused(model.LOST)
            return state

        both = self.foretold(
            session, foretell, "fail", id=pair[0], token=pair[1], retry_in=timedelta(0)
        )
        if both and both[0] != both[1][0][0]:
            raise Broken(f"fail answered {both[1]}, not {both[0]}")
        self.look(session)

    @act(session=SESSION, pick=PICK, delay=DELAY)
    def snooze(self, session: int, pick: int, delay: timedelta) -> None:
        pair = self.pair(session, pick)
        both = self.foretold(
            session,
            lambda: self.model.snooze(session, pair, delay),
            "snooze",
            id=pair[0],
            token=pair[1],
            delay=delay,
        )
        if both and both[0] != (both[1][0][0] is not None):
            raise Broken(f"snooze answered {both[1]}")
        self.look(session)

    @act(session=SESSION, picks=FEW, begun=st.booleans())
    def release(self, session: int, picks: list[int], begun: bool) -> None:
        pairs = self.few(session, picks)
        self.lost(
            session,
            lambda: self.model.release(session, pairs, [begun] * len(pairs)),
            "release",
            ids=[job for job, _ in pairs],
            tokens=[token for _, token in pairs],
            begun=[begun] * len(pairs),
        )

    @act(session=SESSION, pick=PICK)
    def child_dies(self, session: int, pick: int) -> None:
        """With handlers that had begun."""
        self._release_executor(session, pick, begun=True)

    @act(session=SESSION, pick=PICK)
    def idle_child_dies(self, session: int, pick: int) -> None:
        """With jobs that were merely prefetched."""
        self._release_executor(session, pick, begun=False)

    def _release_executor(self, session: int, pick: int, *, begun: bool) -> None:
        """Which leases are found is not foretold while claims of the executor stay open."""
        executors = sorted(
            {
                (job.worker, job.executor)
                for job in self.model.jobs(session, "lease")
                if job.worker and job.executor is not None
            }
        )
        if not executors:
            return
        worker, executor = executors[pick % len(executors)]
        jobs = self.model.of_executor(session, worker, executor)
        if any((job.id, job.token) in self.model.stray_leases for job in jobs):
            return
        ids = [job.id for job in jobs] if begun else []
        self.each(
            session,
            lambda: self.model.release_executor(session, worker, executor, ids),
            "release_executor",
            worker=worker,
            executor=executor,
            begun=ids,
        )

    @act(session=SESSION, picks=FEW)
    def decline(self, session: int, picks: list[int]) -> None:
        pairs = self.few(session, picks)
        self.each(
            session,
            lambda: self.model.decline(session, pairs),
            "decline",
            ids=[job for job, _ in pairs],
            tokens=[token for _, token in pairs],
        )

    @act(session=SESSION, picks=FEW)
    def start(self, session: int, picks: list[int]) -> None:
        pairs = self.few(session, picks)
        self.lost(
            session,
            lambda: self.model.start(session, pairs, timedelta(seconds=1)),
            "start",
            ids=[job for job, _ in pairs],
            tokens=[token for _, token in pairs],
            ran_seconds=[1.0] * len(pairs),
        )

    @act(session=SESSION, pick=PICK)
    def extend(self, session: int, pick: int) -> None:
        pair = self.pair(session, pick)
        self.exactly(
            session,
            lambda: self.model.extend(session, pair, 2 * HOUR),
            "extend",
            id=pair[0],
            token=pair[1],
            lease=2 * HOUR,
        )

    @act(session=SESSION, pick=PICK)
    def log(self, session: int, pick: int) -> None:
        pair = self.pair(session, pick)
        self.exactly(
            session,
            lambda: self.model.log(session, pair),
            "log",
            id=pair[0],
            token=pair[1],
            message="said",
        )

    # Operators

    @act(session=SESSION, pick=PICK)
    def cancel(self, session: int, pick: int) -> None:
        job = self.some_job(session, pick, "lease", "ready", "delayed")
        self.exactly(session, lambda: self.model.cancel(session, job), "cancel", id=job)

    @act(session=SESSION, pick=PICK)
    def cancel_running(self, session: int, pick: int) -> None:
        job = self.some_job(session, pick, "lease")
        self.exactly(session, lambda: self.model.cancel(session, job), "cancel", id=job)

    @act(session=SESSION, pick=PICK)
    def cancel_held(self, session: int, pick: int) -> None:
        pair = self.pair(session, pick)

        def foretell() -> str:
            self.model.cancel_held(session, pair)
            return "cancelled"

        self.exactly(session, foretell, "cancel", id=pair[0], token=pair[1])

    @act(session=SESSION, pick=PICK)
    def retry(self, session: int, pick: int) -> None:
        job = self.some_job(session, pick, "dead", "finished")
        self.exactly(session, lambda: self.model.retry(session, job), "retry", id=job)

    @act(session=SESSION, queue=st.sampled_from(QUEUES), limit=LIMIT)
    def redrive(self, session: int, queue: str, limit: int) -> None:
        self.exactly(
            session,
            lambda: self.model.redrive(session, queue, limit),
            "redrive",
            queue=queue,
            limit=limit,
        )

    @act(session=SESSION, queue=st.sampled_from(QUEUES), limit=LIMIT)
    def purge(self, session: int, queue: str, limit: int) -> None:
        self.exactly(
            session,
            lambda: self.model.purge(session, queue, limit),
            "purge",
            queue=queue,
            limit=limit,
        )

    @act(
        session=SESSION,
        pick=PICK,
        priority=st.sampled_from(PRIORITIES),
        hours=st.sampled_from([None, None, -1, 1]),
    )
    def edit(self, session: int, pick: int, priority: int, hours: int | None) -> None:
        job = self.some_job(session, pick, "ready", "delayed", "dead")
        run_at = None if hours is None else model.now() + hours * HOUR
        self.exactly(
            session,
            lambda: self.model.edit(session, job, priority, run_at),
            "edit",
            id=job,
            priority=priority,
            run_at=run_at,
        )

    @act(session=SESSION, pick=PICK)
    def run_now(self, session: int, pick: int) -> None:
        job = self.some_job(session, pick, "delayed")
        self.exactly(session, lambda: self.model.run_now(session, job), "run_now", id=job)

    @act(
        session=SESSION,
        pick=PICK,
        queue=st.sampled_from([None, *QUEUES]),
        priority=st.sampled_from([None, *PRIORITIES]),
        hours=st.sampled_from([None, 1]),
    )
    def duplicate(
        self, session: int, pick: int, queue: str | None, priority: int | None, hours: int | None
    ) -> None:
        job = self.ids[pick % len(self.ids)]
        run_at = None if hours is None else model.now() + hours * HOUR
        both = self.foretold(
            session,
            lambda: self.model.duplicate(session, job, queue, priority, run_at),
            "duplicate",
            id=job,
            queue=queue,
            priority=priority,
            run_at=run_at,
        )
        if both:
            item, ((number,),) = both
            self._add(session, number, item)
        self.look(session)

    @act(session=SESSION, pick=PICK, on=st.sampled_from([True, False, False]))
    def drain(self, session: int, pick: int, on: bool) -> None:
        worker = self.workers[pick % len(self.workers)]
        self.exactly(
            session,
            lambda: self.model.drain(session, worker, on=on),
            "drain",
            worker=worker,
            on=on,
        )

    @act(
        session=SESSION,
        verb=st.sampled_from(list(model.STATES)),
        queue=st.sampled_from(QUEUES),
        most=st.sampled_from([None, 1, 3]),
    )
    def start_operation(self, session: int, verb: model.Verb, queue: str, most: int | None) -> None:
        """One at a time: of two nobody could tell which of them moved a job."""
        if any(self.model.operation(each) for each in range(SESSIONS)):
            return
        both = self.foretold(
            session, lambda: None, "start_operation", verb=verb, queue=queue, limit=most
        )
        assert both
        operation = Operation(both[1][0][0], verb, queue, self.ids[-1], most or DEFAULT_LIMIT)
        self.operations.append(operation.id)
        self.model.start_operation(session, operation)
        self.look(session)

    @act(session=SESSION, pick=PICK)
    def stop_operation(self, session: int, pick: int) -> None:
        """Of one that nobody holds: it would be waited for."""
        free = [
            number
            for number in self.operations
            if not self.model.rows.is_busy(session, ("operation", number))
        ]
        if free:
            number = free[-1 - pick % len(free)]
            self.exactly(
                session,
                lambda: self.model.stop_operation(session, number),
                "stop_operation",
                id=number,
            )

    @act(session=SESSION, queue=st.sampled_from(QUEUES))
    def pause(self, session: int, queue: str) -> None:
        self.exactly(session, lambda: self.model.pause(session, queue), "pause", queue=queue)

    @act(session=SESSION, queue=st.sampled_from(QUEUES))
    def resume(self, session: int, queue: str) -> None:
        self.exactly(session, lambda: self.model.resume(session, queue), "resume", queue=queue)

    @act(session=SESSION, queue=st.sampled_from(QUEUES), most=st.sampled_from([1, 2, 3]))
    def configure_queue(self, session: int, queue: str, most: int) -> None:
        self.exactly(
            session,
            lambda: self.model.configure_queue(session, queue, most),
            "configure_queue",
            queue=queue,
            max_attempts=most,
        )

    # Upkeep, each its own transaction, whatever is open beside it

    def idle_session(self) -> int:
        """One that is in no transaction."""
        return next(s for s in range(SESSIONS) if not self.model.rows.is_open(s))

    def upkeep(self, verb: str, **arguments: Any) -> tuple[int, int, Sight]:
        """The session, the answer and what is seen afterwards."""
        session = self.idle_session()
        self.model.note_strays()
        both = self.foretold(session, lambda: None, verb, **arguments)
        assert both
        return session, both[1][0][0], self.field.look(session)

    @act(limit=LIMIT, is_swept=st.booleans())
    def promote(self, limit: int, is_swept: bool = False) -> None:
        if is_swept:
            self.age_cursors("delayed_sweep")
        before = model.now()
        session, answer, sight = self.upkeep("promote", limit=limit)
        moved = self.witness.changed(session, sight)
        self.model.promoted(session, moved, limit=limit, before=before, swept=is_swept)
        self._counted("promote", answer, moved, sight, session)

    @act(limit=LIMIT, minutes=st.sampled_from([6, 16, 60]), gap=st.booleans())
    def leases_run_out(self, limit: int, minutes: int, gap: bool) -> None:
        self.shift(timedelta(minutes=minutes))
        for _ in range(3):
            self.age_floors()
            self.reap(limit, gap)

    @act(limit=LIMIT, gap=st.sampled_from([False, False, True]))
    def reap(self, limit: int, gap: bool) -> None:
        ago = timedelta(minutes=gap)
        self.field.run(
            OWNER,
            "insert into pgq.lease_clock (at, clock)"
            " select clock_timestamp() - %(ago)s, pgq._clock()",
            {"ago": ago},
        )
        session, answer, sight = self.upkeep("reap", limit=limit)
        ended = self._clock_moved(session, sight)
        assert sight.clock is not None
        self.model.reaped(session, ended, limit=limit, gap=sight.clock.flag)
        self._counted("reap", answer, ended, sight, session)

    def _clock_moved(self, session: int, sight: Sight) -> list[int]:
        assert sight.clock is not None
        assert sight.clock.at is not None
        if not timedelta() <= sight.clock.at - self.model.clock <= MAX_SHIFT:
            raise Broken(f"the lease clock went from {self.model.clock} to {sight.clock.at}")
        self.model.expire_workers(session, sight.clock.at)
        return self.witness.changed(session, sight)

    def _counted(
        self, verb: str, answer: int, changed: Sequence[int], sight: Sight, session: int
    ) -> None:
        if answer != len(changed):
            raise Broken(f"{verb} answered {answer}, but moved {changed}")
        self.witness.compare(session, sight)

    @act(rounds=st.sampled_from([0, 2, 3]))
    def settle(self, rounds: int) -> None:
        """Once, or so often that floors pass what stays open, each time as if long after."""
        for _ in range(rounds or 1):
            if rounds:
                self.age_floors()
            session, _, sight = self.upkeep("settle")
        self.witness.compare(session, sight, may_reseat=True)

    @act(limit=LIMIT)
    def prune(self, limit: int) -> None:
        session, answer, sight = self.upkeep("prune", limit=limit)
        gone = self.witness.changed(session, sight)
        self.model.pruned(session, gone, self.old, limit=limit)
        self._counted("prune", answer, gone, sight, session)

    @act(verb=st.sampled_from(["fold", "partition"]), limit=LIMIT)
    def house(self, verb: str, limit: int) -> None:
        session, _, sight = self.upkeep(verb, **({"limit": limit} if verb == "fold" else {}))
        self.witness.compare(session, sight)

    @act(limit=LIMIT)
    def audit(self, limit: int) -> None:
        self.age_cursors("audit_counters")
        session, answer, sight = self.upkeep("audit_state", limit=limit)
        if answer:
            raise Broken(f"the audit mended {answer}")
        self.witness.compare(session, sight)

    @act(limit=LIMIT)
    def operate(self, limit: int) -> None:
        before = self.field.look(self.idle_session()).operations
        session, answer, sight = self.upkeep("operate", limit=limit)
        operation = self.model.operation(session)
        changed = self.witness.changed(session, sight)
        asked = sight.requests - set(self.model.rows.all(session, "request"))
        changed += [job for job, _ in asked]
        if not len(changed) <= answer <= limit:
            raise Broken(f"operate answered {answer} of {limit}, but moved {changed}")
        if operation:
            seen = sight.operations[operation.id]
            walked = before[operation.id].n == 0 and seen.n >= operation.up_to
            self.model.operated(
                session, changed, limit=limit, done=seen.attempt, state=seen.why, walked=walked
            )
        elif changed:
            raise Broken(f"operate moved {changed}, for no operation")
        self.witness.compare(session, sight)

    @act()
    def tick(self) -> None:
        """Not while an operation runs: what it moves could not be told from what others do."""
        session, before = self.idle_session(), model.now()
        if self.model.operation(session):
            return
        self.model.note_strays()
        self.field.calls["tick"] += 1
        type(self).steps += 1
        self.field.run(session, "call pgq.tick()")
        sight = self.field.look(session)
        changed = [
            (job, job.id)
            for number in self._clock_moved(session, sight)
            if (job := self.model.job(session, number))
        ]
        assert sight.clock is not None
        places: dict[model.Place, list[int]] = {
            place: [number for job, number in changed if job.place == place]
            for place in ("delayed", "lease", "finished", "dead", "ready")
        }
        limit = DEFAULT_LIMIT
        self.model.promoted(session, places["delayed"], limit=limit, before=before, swept=False)
        self.model.reaped(session, places["lease"], limit=limit, gap=sight.clock.flag)
        gone = places["finished"] + places["dead"] + places["ready"]
        self.model.pruned(session, gone, self.old, limit=limit)
        self.witness.compare(session, sight, may_reseat=True)

    # Time

    def age_floors(self) -> None:
        """Marks and floors are old enough to be moved, passed and strayed from."""
        self.field.run(OWNER, "update pgq.floor set at = at - interval '1 minute'")
        self.field.run(OWNER, "update pgq.mark set noted_at = noted_at - interval '1 hour'")

    def age_cursors(self, *streams: str) -> None:
        """What upkeep does only now and then is due."""
        self.field.run(
            OWNER,
            "update pgq.cursor set at = at - interval '1 hour' where stream = any (%(streams)s)",
            {"streams": list(streams)},
        )

    @act(pick=PICK)
    def marks_grow_old(self, pick: int) -> None:
        self.age_floors()

    @act(minutes=st.sampled_from([6, 11, 11, 60]))
    def lease_clock_goes_on(self, minutes: int) -> None:
        self.shift(timedelta(minutes=minutes))

    def shift(self, by: timedelta) -> None:
        """As many rounds of upkeep would."""
        self.field.run(
            OWNER,
            "insert into pgq.lease_clock (at, clock)"
            " select clock_timestamp(), pgq._clock() + %(by)s",
            {"by": by},
        )
        self.model.clock += by

    @act(pick=PICK)
    def delay_passes(self, pick: int) -> None:
        delayed = self.model.free(OWNER, self.model.jobs(OWNER, "delayed"))
        if delayed:
            self.come_near(delayed[pick % len(delayed)])

    def come_near(self, job: Job) -> None:
        """A delayed job is due, and was declined long ago if it was."""
        ((at, _),) = self.field.run(
            OWNER,
            "update pgq.delayed set run_at = clock_timestamp(),"
            " unknown_since = unknown_since - interval '2 hours'"
            " where job_id = %(job)s returning run_at, unknown_since",
            {"job": job.id},
        )
        unknown = "old" if job.unknown != "no" else "no"
        self.model.rows.learn(OWNER, job.row, replace(job, at=at, unknown=unknown))

    @act(pick=PICK)
    def retention_passes(self, pick: int) -> None:
        ended = [
            job
            for job in self.model.free(OWNER, self.model.jobs(OWNER, "finished", "dead"))
            if job.place == "dead" or job.queue == "brief"
        ]
        if not ended:
            return
        job = ended[pick % len(ended)]
        table, column, by = (
            ("dead", "died_at", timedelta(days=31))
            if job.place == "dead"
            else ("finished", "finished_at", 2 * HOUR)
        )
        self.field.run(
            OWNER,
            f"update pgq.{table} set {column} = {column} - %(by)s where job_id = %(job)s",
            {"job": job.id, "by": by},
        )
        self.model.rows.learn(OWNER, job.row, replace(job, at=None))
        self.old.add(job.id)
        self.look(OWNER)

    # The end

    def finish(self) -> None:
        """Everybody commits or rolls back, time passes, and each job comes to its end."""
        for session in self.model.rows.open:
            self.close(session, commit=session % 2 == 0)
        self.settle(rounds=3)
        self.model.strays.clear()
        self.model.stray_leases.clear()
        for queue in QUEUES:
            self.resume(session=0, queue=queue)
        for _ in range(ROUNDS):
            self._lose_answers()
            self._end_leases()
            for job in self.model.jobs(0, "delayed"):
                self.come_near(job)
            self.promote(limit=100, is_swept=True)
            if not self._claim_all():
                break
        if left := [job for job in self.model.jobs(0) if job.is_unfinished]:
            raise Broken(f"these never come to their end: {left}")
        self.audit(limit=DEFAULT_LIMIT)
        self._check_counts()

    def _lose_answers(self) -> None:
        """Workers know nothing of their leases: these go back, when they are old enough."""
        for _ in range(3):
            self.age_floors()
            self.reap(DEFAULT_LIMIT, False)
        for number in self.workers[::2]:
            if self.model.worker(0, number):
                self._heartbeat(0, number, [])
                if left := [job for job in self.model.jobs(0, "lease") if job.worker == number]:
                    raise Broken(f"leases that worker {number} does not know of: {left}")

    def _end_leases(self) -> None:
        """Every worker is lost, every lease runs out."""
        if not self.model.jobs(0, "lease"):
            return
        self.shift(LATER)
        for _ in range(3):
            self.age_floors()
            self.reap(DEFAULT_LIMIT, False)
        if left := self.model.jobs(0, "lease"):
            raise Broken(f"leases of workers that were lost long ago: {left}")

    def _claim_all(self) -> bool:
        """Take and complete what is ready, until there is nothing."""
        found = False
        while True:
            token = UUID(int=len(self.tokens) + 1)
            self._claim(
                0,
                token,
                {
                    "worker": 0,
                    "executor": 1,
                    "queues": list(QUEUES),
                    "limits": [100] * len(QUEUES),
                    "lease": None,
                    "suspects": None,
                    "reserved": True,
                },
            )
            pairs = [(job, token) for job in self.tokens[token][0]]
            if not pairs:
                return found
            found = True
            self.each(
                0,
                lambda: self.model.complete(0, pairs),  # noqa: B023
                "complete_many",
                ids=[job for job, _ in pairs],
                tokens=[token] * len(pairs),
            )

    def _check_counts(self) -> None:
        stats = {
            (metric, label): int(n)
            for metric, label, n in self.field.run(
                0,
                "select metric, label, sum(n) from pgq.stats()"
                " where metric in ('repaired', 'transition') group by 1, 2",
            )
        }
        succeeded = sum(job.state == "succeeded" for job in self.model.jobs(0))
        completed = stats.get(("transition", "running>succeeded"), 0)
        if completed != succeeded + self.model.pruned_successes:
            raise Broken(f"{completed} completions of {succeeded} jobs that succeeded")
        if mended := {key: n for key, n in stats.items() if key[0] == "repaired"}:
            raise Broken(f"the audit mended {mended}")
