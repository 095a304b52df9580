"""R9: the session on which a worker listens is killed again and again."""

from __future__ import annotations

import random

from faults.row import Row
from faults.stage import SLACK, Stage
from pgq_bench.server import value

RATE = 100
EVERY = 1.0
PAUSES = (0.2, 15.0)
"""Seconds that a listener which died waits before the next attempt: at most, at first and ever."""
LISTENS = 2.0
"""Seconds that it takes a killer to find it listening."""
LISTENERS = """
select count(*)
from pg_stat_activity a
where a.application_name like 'pgq listener%' and a.backend_type = 'client backend'
"""
KILL = """
select count(*) from (
    select pg_terminate_backend(a.pid)
    from pg_stat_activity a
    where a.application_name like 'pgq listener%' and a.backend_type = 'client backend'
) k
"""


def _least_kills(seconds: float) -> int:
    """How often a listener dies that waits twice as long each time."""
    pause, longest = PAUSES
    kills, passed = 0, LISTENS
    while passed <= seconds:
        kills += 1
        passed += pause + LISTENS
        pause = min(2 * pause, longest)
    return kills


def _play(stage: Stage) -> None:
    stage.crew.hire(stage.dsn)
    stage.wait_for_workers()

    with stage.session() as session:

        def kill(chance: random.Random) -> str:
            killed = session.execute(KILL).fetchall()[0][0]
            return f"{killed} listeners" if killed else ""

        def listeners() -> int:
            return int(value(session, LISTENERS))

        def is_deaf() -> bool:
            session.execute(KILL)
            return listeners() == 0

        with stage.load(rate=RATE), stage.nemesis(kill, every=EVERY) as nemesis:
            stage.pass_time()
        # No job comes after this one, whose wake-up would do for it too.
        stage.wait_until(listeners, 2 * PAUSES[1])
        stage.wait_until(is_deaf)
        stage.enqueue(1)
    stage.finish()
    stage.figure("listeners killed", len(nemesis.strikes), least=_least_kills(stage.seconds))
    waits = stage.waits()
    stage.forgotten(waits)
    stage.figure("longest pick-up", max(waits), most=stage.poll + SLACK, unit=" s", is_time=True)


ROW = Row(
    "R9",
    "lost wake-ups",
    fault=f"the listening session is killed every {EVERY:g} s, {RATE} jobs/s",
    play=_play,
    short=15,
    full=300,
    brief=8,
    mutants={"wakes_only": "picked up after more than 20 polls"},
)
