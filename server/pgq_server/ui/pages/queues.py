"""`/ui/queues`: all queues, one queue, and what can be done to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field
from starlette.responses import Response

from pgq_server.call import Call
from pgq_server.gateway import Row, verb
from pgq_server.models.base import Name, QueuePath, Request
from pgq_server.problems import Refusal
from pgq_server.ui import faces, figures, forms
from pgq_server.ui.faces import Faces
from pgq_server.ui.page import done, page_route, show

_COUNTS = (
    "queue", "paused_at", "scheduled", "ready", "running", "retrying", "dead", "succeeded",
    "cancelled", "workers", "max_attempts", "timeout", "oldest_ready_at",
)  # fmt: skip
_SETTINGS = (
    "backoff_base", "backoff_max", "payload_limit", "keep_finished", "keep_dead",
    "unknown_task_after", "overridden",
)  # fmt: skip
_WORKERS = ("id", "name", "state", "queues", "slots", "busy", "heartbeat_at")

SETTINGS: tuple[tuple[str, str, str], ...] = (
    ("max_attempts", "Attempts", "of a job, before it is dead"),
    ("timeout", "Timeout", "of an attempt"),
    ("backoff_base", "Backoff", "before the second attempt; doubles with each"),
    ("backoff_max", "Longest backoff", ""),
    ("payload_limit", "Payload limit", "bytes"),
    ("keep_finished", "Keep finished jobs", ""),
    ("keep_dead", "Keep dead letters", ""),
    ("unknown_task_after", "Unknown task is dead after", "no worker knows it"),
)
"""Name, words, hint."""

_Duration = Annotated[timedelta | None, BeforeValidator(forms.duration)]
_Number = Annotated[int | None, BeforeValidator(forms.number)]


class ActionPath(Request):
    """Names a queue and what to do to it."""

    queue: Name
    action: Literal["pause", "resume", "settings"]


class Settings(Request):
    """The form; a field that is left empty goes back to the service's value."""

    max_attempts: Annotated[_Number, Field(ge=1, le=32_767)] = None
    payload_limit: Annotated[_Number, Field(ge=1, le=2**31 - 1)] = None
    timeout: _Duration = None
    backoff_base: _Duration = None
    backoff_max: _Duration = None
    keep_finished: _Duration = None
    keep_dead: _Duration = None
    unknown_task_after: _Duration = None


@dataclass(frozen=True)
class View:
    """What the page of one queue says."""

    queue: Row
    workers: Sequence[Row]

    @property
    def settings(self) -> list[dict[str, Any]]:
        """Name, words, hint, value in words, whether it is the queue's own."""
        return [
            {
                "name": name,
                "words": words,
                "hint": hint,
                "value": shown(self.queue[name]),
                "is_own": name in self.queue["overridden"],
            }
            for name, words, hint in SETTINGS
        ]


@dataclass(frozen=True)
class ActionView:
    """What a dialog says."""

    kind: str
    name: str
    faces: Faces | None
    queue: View | None = None


def shown(value: Any) -> str:
    """A setting in words that the form reads back."""
    return figures.exact(value) if isinstance(value, timedelta) else str(value)


async def queues(call: Call) -> Response:
    """All queues."""
    rows = await call.db.rows("list_queues", _COUNTS)
    reached = [row for row in rows if call.identity.reaches(row["queue"])]
    view = {"queues": reached, "deepest": max((row["ready"] for row in reached), default=0)}
    return show(call, "queues.html", view, page="/ui/queues", live=_LIVE)


async def queue(call: Call[QueuePath]) -> Response:
    """One queue."""
    found, workers = await call.db.batch(
        verb("get_queue", (*_COUNTS, *_SETTINGS), p_queue=call.path.queue),
        verb("list_workers", _WORKERS),
    )
    takes = [worker for worker in workers if call.path.queue in worker["queues"]]
    return show(call, "queue.html", View(found[0], takes), page="/ui/queues", live=_LIVE)


async def ask(call: Call[ActionPath]) -> Response:
    """The dialog of an action."""
    name = call.path.queue
    if call.path.action == "settings":
        found = await call.db.row("get_queue", (*_COUNTS, *_SETTINGS), p_queue=name)
        told = ActionView("settings", name, None, View(found, ()))
    else:
        told = ActionView(call.path.action, name, _faces(call))
    return show(call, "queue_action.html", told, page="/ui/queues")


async def act(call: Call[ActionPath, None, Settings]) -> Response:
    """The deed."""
    name, kind = call.path.queue, call.path.action
    here = forms.path("ui", "queues", name)
    if kind != "settings":
        await call.db.value(kind, p_queue=name)
        words = "is paused: no more of its jobs start" if kind == "pause" else "goes on"
        return done(call, f"Queue {name} {words}.", here)
    await call.db.value("configure_queue", p_queue=name, **await _changes(call))
    return done(call, f"The settings of queue {name} are changed.", here)


async def elsewhere(call: Call[QueuePath, None, Settings]) -> Response:
    """What saving the form as it is would do, as SQL, curl, command line and Python."""
    name = call.path.queue
    changes = await _changes(call)
    if not any(value is not None for value in changes.values()):
        raise Refusal("invalid-request", "Nothing is changed yet.")
    arguments = {"p_queue": name, **changes}
    given = {
        key.removeprefix("p_"): value
        for key, value in arguments.items()
        if key not in ("p_queue", "p_reset")
    }
    reset = changes["p_reset"] or []
    body: dict[str, Any] = dict.fromkeys(map(_member, reset))
    for key, value in given.items():
        body[_member(key)] = value.total_seconds() if isinstance(value, timedelta) else value
    view = Faces(
        faces.call("configure_queue", arguments),
        forms.curl(call)("PATCH", forms.path("api", "v1", "queues", name), body),
        faces.cli("queue", "set", name, options={**given, "reset": reset}),
        faces.python("configure_queue", arguments),
    )
    return show(call, "faces.html", view)


def _member(setting: str) -> str:
    """A setting's name in the API, which tells the unit."""
    return setting if setting in ("max_attempts", "payload_limit") else f"{setting}_seconds"


async def _changes(call: Call[Any, None, Settings]) -> dict[str, Any]:
    """Arguments of `configure_queue`; `p_reset` names those that go back to the service's value."""
    columns = (*_COUNTS, *_SETTINGS)
    current = View(await call.db.row("get_queue", columns, p_queue=call.path.queue), ())
    changes: dict[str, Any] = {}
    for setting in current.settings:
        given = getattr(call.body, setting["name"])
        if given is not None and shown(given) != setting["value"]:
            changes[f"p_{setting['name']}"] = given
    reset = [
        each["name"]
        for each in current.settings
        if each["is_own"] and getattr(call.body, each["name"]) is None
    ]
    return {**changes, "p_reset": reset or None}


def _faces(call: Call[ActionPath]) -> Faces:
    name, kind = call.path.queue, call.path.action
    return Faces(
        faces.call(kind, {"p_queue": name}),
        forms.curl(call)("POST", forms.path("api", "v1", "queues", name, kind)),
        faces.cli("queue", kind, name),
        faces.python(kind, {"p_queue": name}),
    )


_LIVE = "pgq:change from:body throttle:2s, every 30s"

ROUTES = (
    page_route("GET", "/ui/queues", queues, "Queues", reach="handler"),
    page_route("GET", "/ui/queues/{queue}", queue, "A queue", path_model=QueuePath, reach="queue"),
    page_route(
        "GET",
        "/ui/queues/{queue}/{action}",
        ask,
        "The dialog of an action on a queue",
        path_model=ActionPath,
        scopes=("operate",),
        reach="queue",
    ),
    page_route(
        "POST",
        "/ui/queues/{queue}/settings/faces",
        elsewhere,
        "Settings of a queue as SQL, curl, command line and Python",
        path_model=QueuePath,
        body=Settings,
        scopes=("operate",),
        reach="queue",
    ),
    page_route(
        "POST",
        "/ui/queues/{queue}/{action}",
        act,
        "An action on a queue",
        path_model=ActionPath,
        body=Settings,
        scopes=("operate",),
        reach="queue",
    ),
)
