"""The filter box: words such as `state:dead payload.user.id:42`, to arguments and back."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

from pgq.job import State

STATES: tuple[str, ...] = get_args(State)
KEYS: Mapping[str, str] = {
    "state": "where it stands",
    "queue": "its queue",
    "task": "its task",
    "tag": "one of its tags",
    "worker": "who has or had it: an id or a name",
    "id": "its id",
    "created": ">1h is older than an hour, <1h younger; or a date",
    "payload": "a value inside the payload, as in payload.user.id:42",
}
DEEPEST = 10
"""Names in a path into a payload."""

_WORD = re.compile(r'(?:[^\s":]+|"(?:[^"\\]|\\.)*"?)(?::(?:[^\s"]+|"(?:[^"\\]|\\.)*"?)*)?|:\S*')
_AGE = re.compile(r"([<>])(\d{1,9})(s|m|min|h|d|w)", re.ASCII)
_DATE = re.compile(r"([<>])(\d{4}-\d\d-\d\d\S*)", re.ASCII)
_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400, "w": 604_800}
_PLAIN = re.compile(r'[^\s"]+')


@dataclass(frozen=True)
class Filter:
    """What a filter says. `problems` tell in words what of it makes no sense."""

    text: str
    state: str | None = None
    queue: str | None = None
    task: str | None = None
    tag: str | None = None
    worker: str | None = None
    id: int | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    path: tuple[str, ...] | None = None
    value: str | None = None
    words: tuple[tuple[str, str], ...] = ()
    problems: tuple[str, ...] = field(default=())

    @property
    def is_empty(self) -> bool:
        """Whether every job matches."""
        return not self.words

    @property
    def only_queue(self) -> bool:
        """Whether it says nothing but a state and a queue, which are counted anyway."""
        return {key for key, _ in self.words} <= {"state", "queue"}

    def arguments(self, worker: int | None) -> dict[str, Any]:
        """Arguments of `list_jobs`, but for the id; `worker` is the id that the name stands for."""
        return {
            "p_queue": self.queue,
            "p_state": self.state,
            "p_task": self.task,
            "p_tag": self.tag,
            "p_worker": worker,
            "p_created_after": self.created_after,
            "p_created_before": self.created_before,
            "p_path": None if self.path is None else list(self.path),
            "p_value": self.value,
        }

    def with_word(self, key: str, value: str | None) -> str:
        """This filter's text with another value for a key, or without it."""
        kept = [word(name, text) for name, text in self.words if name != key]
        return " ".join(kept if value is None else [*kept, word(key, value)])

    def worker_among(self, workers: Iterable[Mapping[str, Any]]) -> int | None:
        """The id of the worker that is meant; 0, which is nobody's, when there is none."""
        if self.worker is None:
            return None
        if self.worker.isdecimal() and len(self.worker) < 16:
            return int(self.worker)
        found = [each["id"] for each in workers if each["name"] == self.worker]
        return max(found, default=-1)


def word(key: str, value: str) -> str:
    """One word of a filter, quoted where it has to be."""
    if _PLAIN.fullmatch(value):
        return f"{key}:{value}"
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'{key}:"{escaped}"'


def parse(text: str, now: datetime) -> Filter:
    """Read the filter box. What cannot be read is left out and told in `problems`."""
    values: dict[str, Any] = {}
    words: list[tuple[str, str]] = []
    problems: list[str] = []
    for match in _WORD.finditer(text):
        key, value = _split(match.group())
        try:
            values |= _value(key, value, now, values)
        except ValueError as problem:
            problems.append(str(problem))
        else:
            words.append((key, value))
    return Filter(text=text, words=tuple(words), problems=tuple(problems), **values)


def _split(text: str) -> tuple[str, str]:
    if text.startswith('"') or ":" not in text:
        bare = _unquoted(text)
        return ("id" if bare.isdecimal() else "task"), bare
    key, _, value = text.partition(":")
    return key, _unquoted(value)


def _unquoted(text: str) -> str:
    if not text.startswith('"'):
        return text.replace("\0", "")
    inner = text[1:-1] if len(text) > 1 and text.endswith('"') else text[1:]
    return re.sub(r"\\(.)", r"\1", inner).replace("\0", "")


def _value(key: str, value: str, now: datetime, seen: Mapping[str, Any]) -> dict[str, Any]:
    name, _, path = key.partition(".")
    if name not in KEYS or (path and name != "payload"):
        raise ValueError(f"{key[:60]}: is unknown; expected {', '.join(KEYS)}")
    if not value:
        raise ValueError(f"{key[:60]}: needs a value")
    if name == "created":
        return _created(value, now)
    made: dict[str, Any]
    if name == "payload":
        steps = tuple(path.split(".")) if path else ()
        if not 1 <= len(steps) <= DEEPEST or not all(steps):
            raise ValueError("payload: needs a path of up to 10 names, as in payload.user.id:42")
        made = {"path": steps, "value": value}
    elif name == "id":
        if not value.isdecimal() or len(value) > 16:
            raise ValueError(f"id:{value[:40]} is no id; expected a number")
        made = {"id": int(value)}
    elif name == "state":
        if value not in STATES:
            raise ValueError(f"state:{value[:40]} is unknown; expected {', '.join(STATES)}")
        made = {"state": value}
    else:
        made = {name: value}
    if made.keys() & seen.keys():
        raise ValueError(f"{name}: stands there twice; expected it once")
    return made


def _created(value: str, now: datetime) -> dict[str, Any]:
    if match := _AGE.fullmatch(value):
        at = _back(now, int(match[2]) * _UNITS[match[3]])
        return {"created_before" if match[1] == ">" else "created_after": at}
    if match := _DATE.fullmatch(value):
        try:
            at = datetime.fromisoformat(match[2])
        except ValueError:
            raise ValueError(f"created:{value[:40]} is no date") from None
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        return {"created_after" if match[1] == ">" else "created_before": at}
    raise ValueError(
        f"created:{value[:40]} makes no sense; expected an age as >1h or <30m, "
        "or a date as >2026-01-31"
    )


def _back(now: datetime, seconds: int) -> datetime:
    try:
        return now - timedelta(seconds=seconds)
    except OverflowError:
        raise ValueError("created: that long ago there was nothing") from None
