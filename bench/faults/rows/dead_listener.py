"""R8: only the connection on which a worker listens goes dead, and nothing says so."""

from __future__ import annotations

import math
import time

from faults.proxy import Line, Proxy
from faults.row import Row
from faults.stage import SLACK, Stage

FOUND = 15.0
"""Seconds in which the worker has to listen again."""


def _listens(line: Line) -> bool:
    return line.listens


def _play(stage: Stage) -> None:
    with Proxy(stage.dsn) as proxy:
        stage.crew.hire(proxy.dsn)
        stage.wait_for_workers()
        frozen_at = time.time()
        frozen = proxy.freeze(_listens)
        jobs: list[int] = []
        while time.time() < frozen_at + stage.seconds:
            jobs += stage.enqueue(1)
            stage.pass_time(3.1 * stage.poll)
        stage.finish()
        again = stage.wait_until(lambda: "listens again" in stage.crew.logs(), FOUND)
    waits = stage.waits(jobs)
    stage.figure("listening lines that went dead", frozen, least=1)
    stage.figure("jobs picked up", sum(wait < math.inf for wait in waits), least=len(jobs))
    stage.figure("longest pick-up", max(waits), most=stage.poll + SLACK, unit=" s", is_time=True)
    stage.forgotten(waits)
    stage.figure("listens again", again, least=1)


ROW = Row(
    "R8",
    "silent death of LISTEN",
    fault="what comes on the worker's listening connection vanishes, and nothing else",
    play=_play,
    short=14,
    full=60,
    brief=3,
    mutants={"wakes_only": "picked up after more than 20 polls"},
)
