"""Who takes part in the race, and what they remember of it."""

from __future__ import annotations

import random
import threading
import traceback
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import psycopg
from psycopg import IsolationLevel

from sql.support import Conn, column, connect, value

QUEUES = ["default", "mail", "reports"]
PREPARED_AT_MOST = 7

Actor = Callable[["Race", Conn, random.Random], None]


@dataclass
class Race:
    """What is known for certain of each job; doubtful is what a lost connection has left open."""

    dsn: str
    committed: set[int] = field(default_factory=set)
    rolled_back: set[int] = field(default_factory=set)
    doubtful: set[int] = field(default_factory=set)
    running: set[int] = field(default_factory=set)
    claimed: Counter[int] = field(default_factory=Counter)
    given_back: Counter[int] = field(default_factory=Counter)
    ended: Counter[int] = field(default_factory=Counter)
    deeds: Counter[str] = field(default_factory=Counter)
    twice: list[int] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    prepared: dict[str, list[int]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._up = threading.Event()
        self._up.set()
        self._crashes = 0
        self._over = {"producers": threading.Event(), "consumers": threading.Event()}
        self._threads: dict[str, list[threading.Thread]] = {"producers": [], "consumers": []}

    def start(self, group: str, actor: Actor, number: int) -> None:
        """Lets an actor act again and again until its group ends."""
        thread = threading.Thread(target=self._act, args=(group, actor, number), daemon=True)
        self._threads[group].append(thread)
        thread.start()

    def end(self, group: str) -> None:
        self._over[group].set()
        for thread in self._threads[group]:
            thread.join(30)
            assert not thread.is_alive(), "an actor hangs"

    @contextmanager
    def down(self) -> Iterator[None]:
        """The server may go away in the block, and is back at its end."""
        self._up.clear()
        yield
        self._crashes += 1
        self._up.set()

    def pause(self, seconds: float) -> None:
        """Gives the load its shape."""
        threading.Event().wait(seconds)

    def did(self, what: str) -> None:
        with self.lock:
            self.deeds[what] += 1

    def got(self, jobs: Sequence[int]) -> None:
        """Jobs whose claim has committed."""
        with self.lock:
            self.claimed.update(jobs)
            self.twice.extend(self.running & set(jobs))
            self.running.update(jobs)

    def doubts(self, jobs: Sequence[int]) -> None:
        with self.lock:
            self.doubtful.update(jobs)
            self.running.difference_update(jobs)

    @contextmanager
    def doubting(self, jobs: Sequence[int]) -> Iterator[None]:
        """When the connection is lost in the block, nothing is known of these jobs."""
        try:
            yield
        except psycopg.errors.SerializationFailure:
            raise
        except psycopg.OperationalError:
            self.doubts(jobs)
            raise

    def summary(self) -> str:
        deeds = ", ".join(f"{name} {count}" for name, count in sorted(self.deeds.items()))
        return (
            f"{len(self.committed)} jobs committed, {len(self.rolled_back)} rolled back, "
            f"{self.ended.total()} ended, {self.given_back.total()} given back, "
            f"{len(self.doubtful)} doubtful; {deeds}"
        )

    def _act(self, group: str, actor: Actor, number: int) -> None:
        chance = random.Random(number)
        while not self._over[group].is_set():
            self._up.wait()
            crashes = self._crashes
            try:
                with connect(self.dsn) as session:
                    while not self._over[group].is_set():
                        actor(self, session, chance)
            except psycopg.OperationalError:
                if self._up.is_set() and crashes == self._crashes:
                    self.errors.append(traceback.format_exc())
                    return
            except Exception:
                self.errors.append(traceback.format_exc())
                return


# Producers --------------------------------------------------------------------------------------


def producer(race: Race, session: Conn, chance: random.Random) -> None:
    """Inserts in transactions that last, roll back, have savepoints, or are prepared."""
    isolation = chance.choice([IsolationLevel.READ_COMMITTED, IsolationLevel.REPEATABLE_READ])
    session.isolation_level = isolation
    session.autocommit = False
    jobs: list[int] = []
    try:
        session.execute("select 1")
        prepares = chance.random() < 0.15 and len(race.prepared) < PREPARED_AT_MOST
        if prepares:
            session.execute("set local pgq.wake = 'off'")
        if chance.random() < 0.2:
            session.execute("savepoint s")
            undone = add(session, chance)
            session.execute("rollback to savepoint s")
            race.rolled_back.update(undone)
            race.did("savepoint")
        jobs += add(session, chance)
        linger(race, chance, late=0.04)
        if chance.random() < 0.3:
            jobs += add(session, chance)
        if prepares:
            name = f"race-{uuid.UUID(int=chance.getrandbits(128))}"
            session.execute(f"prepare transaction '{name}'")
            race.prepared[name] = jobs
            race.did("prepare")
        elif chance.random() < 0.15:
            session.rollback()
            race.rolled_back.update(jobs)
        else:
            session.commit()
            race.committed.update(jobs)
        session.rollback()
    finally:
        if not session.broken:
            session.autocommit = True
    race.pause(chance.random() * 0.02)


def add(session: Conn, chance: random.Random) -> list[int]:
    found = session.execute(
        "insert into pgq.job (task, queue, priority, run_at)"
        " select 'race', %s, %s, case when i %% 10 = 0 then clock_timestamp() + %s end"
        " from generate_series(1, %s) i returning id",
        [
            chance.choice(QUEUES),
            chance.choice([0, 5]),
            f"{chance.randrange(1, 800)} ms",
            chance.choice([1, 3, 100]),
        ],
    ).fetchall()
    return [job for (job,) in found]


def linger(race: Race, chance: random.Random, *, late: float) -> None:
    """Stays in the transaction: mostly for a moment, sometimes for longer than 2 s."""
    if chance.random() < late:
        race.did("stayed longer than 2 s")
        race.pause(2.1 + chance.random())
    elif chance.random() < 0.3:
        race.pause(chance.random() * 0.5)


def notary(race: Race, session: Conn, chance: random.Random) -> None:
    """Ends prepared transactions, some of them long after they were prepared."""
    names = column(session, "select gid from pg_prepared_xacts order by prepared")
    for name in names[: max(0, len(names) - chance.randrange(6))]:
        jobs = race.prepared.get(name, [])
        if chance.random() < 0.3:
            session.execute(f"rollback prepared '{name}'")
            race.rolled_back.update(jobs)
        else:
            session.execute(f"commit prepared '{name}'")
            race.committed.update(jobs)
        race.prepared.pop(name, None)
    race.pause(0.2)


def idler(race: Race, session: Conn, chance: random.Random) -> None:
    """Calls upkeep in a transaction, stays in it, and commits or rolls back."""
    session.isolation_level = chance.choice(
        [IsolationLevel.READ_COMMITTED] * 2 + [IsolationLevel.REPEATABLE_READ]
    )
    try:
        with session.transaction(force_rollback=chance.random() < 0.4):
            session.execute("select 1")
            race.pause(chance.random() * 0.5)
            verb = chance.choice(["settle", "settle", "settle", "promote", "reap", "fold"])
            session.execute(f"select pgq.{verb}()")
            race.did(f"idle after {verb}")
            race.pause(chance.random() * 2)
    except psycopg.errors.SerializationFailure:
        race.did("serialization failure")


# Consumers --------------------------------------------------------------------------------------


def consumer(race: Race, session: Conn, chance: random.Random) -> None:
    """Claims in a statement, or in a transaction that stays open and may roll back; then ends what
    it got, gives some back, or has all of it undone."""
    session.isolation_level = chance.choice(
        [IsolationLevel.READ_COMMITTED] * 3 + [IsolationLevel.REPEATABLE_READ]
    )
    token = uuid.UUID(int=chance.getrandbits(128))
    if chance.random() < 0.5:
        jobs = take(session, chance, token)
        race.got(jobs)
    else:
        jobs = take_in_transaction(race, session, chance, token)
    if not jobs:
        race.pause(0.01)
        return
    with race.lock:
        race.running.difference_update(jobs)
    back = [job for job in jobs if chance.random() < 0.1]
    done = [job for job in jobs if job not in back]
    session.isolation_level = IsolationLevel.READ_COMMITTED
    with race.doubting(jobs):
        finish(session, done, token)
        give_back(session, back, token, chance)
    with race.lock:
        race.given_back.update(back)
        race.ended.update(done)


def take(session: Conn, chance: random.Random, token: uuid.UUID) -> list[int]:
    queues = chance.sample(QUEUES, 3)
    found = session.execute(
        "select c.id from pgq.claim(0, 1, %s, %s, %s, '1 hour') c",
        [token, queues, [chance.choice([1, 5, 40])] * len(queues)],
    ).fetchall()
    return [job for (job,) in found]


def take_in_transaction(
    race: Race, session: Conn, chance: random.Random, token: uuid.UUID
) -> list[int]:
    jobs: list[int] = []
    undone = chance.random() < 0.3
    try:
        with race.doubting(jobs), session.transaction(force_rollback=undone):
            session.execute("select 1")
            jobs += take(session, chance, token)
            linger(race, chance, late=0.02)
    except psycopg.errors.SerializationFailure:
        race.did("serialization failure")
        undone = True
    if undone:
        return []
    race.got(jobs)
    return jobs


def finish(session: Conn, jobs: list[int], token: uuid.UUID) -> None:
    left = session.execute(
        "select * from pgq.complete_many(%s, %s)", [jobs, [token] * len(jobs)]
    ).fetchall()
    assert left == [], "a job was lost by who had it"


def give_back(session: Conn, jobs: list[int], token: uuid.UUID, chance: random.Random) -> None:
    for job in jobs:
        if chance.random() < 0.5:
            session.execute("select pgq.snooze(%s, %s, '100 ms')", [job, token])
        else:
            lost = session.execute("select pgq.release(%s, %s)", [[job], [token]]).fetchall()
            assert lost == []


# Upkeep -----------------------------------------------------------------------------------------


def upkeep(race: Race, session: Conn, chance: random.Random) -> None:
    for verb in chance.sample(["settle", "promote", "reap", "fold", "audit_state", "prune"], 6):
        answer = value(session, f"select pgq.{verb}()")
        if verb == "audit_state" and answer:
            race.errors.append(f"audit_state mended {answer}")
    race.pause(0.02)
