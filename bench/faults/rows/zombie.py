"""R2: workers stand still for longer than their leases, and go on as if nothing had happened."""

from __future__ import annotations

import random
import time
from functools import partial

from faults.background import Over, beside
from faults.crew import Worker
from faults.row import Row
from faults.stage import Stage
from faults.stale import COUNTED, WRITES, Zombie
from pgq_bench.server import Session, value

WORKERS = 6
FROZEN = 4
"""At the same time, at most."""
LEASES = 3
"""That each stands still."""
RATE = 500
TAKES = 0.2
SLOTS = 100
"""Of each worker: two that are free have to keep up."""
HELD = 20
"""Jobs that somebody claimed over SQL and does not let go of."""
QUEUE = "graveyard"

LOST = "select count(*) from pgq.attempt where reason = 'lost' and worker = %s"
COUNTS = "select s.label, s.n from pgq.stats() s where s.metric = 'stale' and s.queue = %s"
TWICE = """
select count(*)
from pgq.attempt a
where a.reason in ('lost', 'crashed', 'released')
    and (
        exists (select from pgq.finished f where f.job_id = a.job_id and f.token = a.token)
        or exists (
            select
            from pgq.attempt o
            where o.job_id = a.job_id
                and o.token = a.token
                and o.reason in ('error', 'timeout')
        )
    )
"""
UNREGISTERED = """
select count(*)
from unnest(%s::integer[], %s::float8[]) f (pid, at)
where not exists (
    select
    from pgq.worker w
    where w.info ->> 'pid' = f.pid::text
        and w.started_at > to_timestamp(f.at)
)
"""
LATE_LINES = """
select count(*)
from pgq.attempt a
join pgq.log g on g.job_id = a.job_id and g.message = a.token::text
where a.reason in ('lost', 'crashed')
    and g.at > a.ended_at + interval '1 s'
"""


def _play(stage: Stage) -> None:
    stage.enqueue(HELD, queue=QUEUE, seconds=TAKES)
    with stage.session() as session:
        zombie = Zombie(session, queue=QUEUE, jobs=HELD)
    victims = [stage.crew.hire(stage.dsn, "--concurrency", str(SLOTS)) for _ in range(WORKERS)]
    stage.wait_for_workers(WORKERS)
    until: dict[Worker, float] = {}

    def freeze(chance: random.Random) -> str:
        """Thaw those whose time has come, then freeze another."""
        for worker in [one for one, at in until.items() if at <= time.monotonic()]:
            worker.thaw()
            del until[worker]
        free = [worker for worker in victims if worker not in until]
        if len(until) >= FROZEN:
            return ""
        worker = chance.choice(free)
        worker.freeze()
        until[worker] = time.monotonic() + LEASES * stage.lease
        return f"worker {worker.pid}"

    with stage.session() as session:
        stage.wait_until(lambda: value(session, LOST, [zombie.worker]) == HELD)
        heir = Zombie(session, queue=QUEUE, jobs=1, suspects=True)
        zombie.write(session)
        zombie.beat(session)
        session.execute(
            "select from pgq.release(%s, %s)", [list(heir.held), list(heir.held.values())]
        )
    stage.crew.hire(stage.dsn, "--queues", QUEUE)
    stage.wait_for_workers(WORKERS + 1)
    with beside(partial(_haunt, stage, zombie)):
        with (
            stage.load(rate=RATE, task="work_and_tell", payload={"seconds": TAKES}),
            stage.nemesis(freeze, every=0.5) as nemesis,
        ):
            stage.pass_time()
        while until:
            worker, at = min(until.items(), key=lambda one: one[1])
            stage.pass_time(max(at - time.monotonic(), 0))
            worker.thaw()
            del until[worker]
    stage.finish()

    last = {int(strike.victim.split()[1]): strike.at for strike in nemesis.strikes}
    with stage.session() as session:
        stage.wait_until(lambda: not _unregistered(session, last), 2 * stage.lease)
        _judge(stage, session, zombie, len(nemesis.strikes), _unregistered(session, last))


def _unregistered(session: Session, frozen: dict[int, float]) -> int:
    """How many of these processes have not registered since they were frozen."""
    return int(value(session, UNREGISTERED, [list(frozen), list(frozen.values())]))


def _haunt(stage: Stage, zombie: Zombie, over: Over) -> None:
    """Write late until it is over."""
    with stage.session() as session:
        while not over.wait(0.2):
            zombie.write(session)
            zombie.beat(session)


def _judge(stage: Stage, session: Session, zombie: Zombie, rounds: int, unregistered: int) -> None:
    runs = stage.ledger.runs()
    taken = {
        (job, str(token))
        for job, token in session.execute(
            "select job_id, token from pgq.finished "
            "union all select job_id, token from pgq.attempt where reason = 'error'"
        )
    }
    late = [
        run
        for job in runs
        for run in runs[job]
        if run.ended is not None and (job, run.token) not in taken
    ]
    stage.figure("workers frozen", rounds, least=FROZEN)
    stage.figure("handlers that ended too late", len(late), least=rounds)
    stage.figure("late writes over SQL refused", zombie.refused.total(), least=200)
    counts: dict[str, int] = dict(session.execute(COUNTS, [QUEUE]).fetchall())
    stage.figure(
        "refusals counted by the database, off by",
        sum(abs(counts.get(name, 0) - zombie.refused[verb]) for verb, name in COUNTED.items()),
        most=0,
    )
    for kind in (*WRITES, "heartbeat"):
        stage.figure(f"stale {kind} accepted", zombie.accepted[kind], most=0)
    stage.figure("completed or failed after it was lost", value(session, TWICE), most=0)
    stage.figure("lines logged after it was lost", value(session, LATE_LINES), most=0)
    stage.figure("workers that went on without registering anew", unregistered, most=0)


ROW = Row(
    "R2",
    "zombie",
    fault=f"workers stopped for {LEASES} leases, {FROZEN} of {WORKERS} at a time, {RATE} jobs/s",
    play=_play,
    short=10,
    full=2400,
    settings={"max_connections": "300"},
    brief=4,
    mutants={
        "stale_writes_not_counted": "refusals counted by the database, off by",
        "no_fence_of_complete": "stale complete accepted",
        "no_fence_of_fail": "stale fail accepted",
        "no_fence_of_log": "stale log accepted",
        "no_fence_of_heartbeat": "stale heartbeat accepted",
    },
)
