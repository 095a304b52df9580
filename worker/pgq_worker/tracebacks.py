"""The text of an error's traceback."""

from __future__ import annotations

import traceback
from types import CodeType, TracebackType

MOST = 200
"""Tracebacks whose lines are remembered."""
_known: dict[tuple[int, ...], tuple[str, list[CodeType]]] = {}
"""Lines by the ids of code objects, which are kept so that the ids stay theirs, and the places."""


def text(error: BaseException, frames: TracebackType | None) -> str:
    """What `traceback.format_exception` says of an error, from these frames on.

    The lines of frames are remembered: making them takes 100 µs, ten times what a job takes else.
    """
    if (
        error.__cause__ is not None
        or (error.__context__ is not None and not error.__suppress_context__)
        # What is told of these depends on more than the frames.
        or isinstance(error, BaseExceptionGroup | NameError | SyntaxError)
    ):
        return "".join(traceback.format_exception(type(error), error, frames))
    head = f"Traceback (most recent call last):\n{_lines(frames)}" if frames else ""
    return head + "".join(traceback.format_exception_only(error))


def remembered() -> int:
    """How many tracebacks' lines are remembered now."""
    return len(_known)


def _lines(frames: TracebackType) -> str:
    key: list[int] = []
    codes: list[CodeType] = []
    frame: TracebackType | None = frames
    while frame is not None:
        codes.append(frame.tb_frame.f_code)
        key += (id(codes[-1]), frame.tb_lasti)
        frame = frame.tb_next
    if (known := _known.get(tuple(key))) is None:
        if len(_known) >= MOST:
            _known.clear()
        known = _known[tuple(key)] = "".join(traceback.format_tb(frames)), codes
    return known[0]
