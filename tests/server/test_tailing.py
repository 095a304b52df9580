"""When the log of a job that has ended is said to end."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import anyio
import pytest

from pgq_server import tailing
from pgq_server.gateway import Verb
from pgq_server.streams import Outlet

_LINE = {
    "id": 1,
    "n": 1,
    "attempt": 1,
    "at": "2030-01-31T09:30:00Z",
    "level": "info",
    "message": "late",
    "progress": None,
}


class _Late:
    """A database in which a line comes into sight after the end of its job did."""

    def __init__(self) -> None:
        self._answers = [[], [_LINE], [], []]

    async def batch(self, *verbs: Verb) -> list[list[dict[str, Any]]]:
        return [[{"id": 1}], [dict(each) for each in self._answers.pop(0)]]

    async def row(self, *words: Any, **arguments: Any) -> dict[str, Any]:
        return {"state": "succeeded"}


async def _told(module: ModuleType) -> str:
    """What a reader of the log is sent, until it ends."""
    tails: Any = module.Tails(_Late())
    outlet = Outlet()
    sent = b""
    with tails.following(outlet, 1, 0):
        for _ in range(4):
            await tails.look()
            while outlet.chunks.statistics().current_buffer_used:
                sent += outlet.chunks.receive_nowait()
            if not tails.is_wanted:
                break
    return sent.decode()


def _is_whole(told: str) -> bool:
    return told.index("late") < told.index("event: end") if "late" in told else False


def test_a_line_that_comes_after_its_job_has_ended_is_sent_before_the_end() -> None:
    assert _is_whole(anyio.run(_told, tailing))


def test_without_a_second_look_the_line_would_be_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    text = Path(tailing.__file__).read_text()
    guard = "if reader.is_ending and reader.job_id in"
    assert text.count(guard) == 1
    mutant = ModuleType("mutant")
    monkeypatch.setitem(sys.modules, "mutant", mutant)
    exec(compile(text.replace(guard, "if reader.job_id in"), "mutant", "exec"), mutant.__dict__)
    assert not _is_whole(anyio.run(_told, mutant))
