"""What can be done to one job: which states allow it, what it is called, what it is elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pgq_server import masking
from pgq_server.ui import faces
from pgq_server.ui.faces import Faces
from pgq_server.ui.forms import Curl

Kind = Literal["cancel", "retry", "run-now", "edit", "duplicate"]


@dataclass(frozen=True)
class Action:
    """One of the buttons of a job."""

    path: Kind
    words: str
    glyph: str
    states: tuple[str, ...]
    told: str
    """What the dialog says about it."""
    done: str
    is_final: bool = False


_WAITING = ("scheduled", "ready", "retrying")

OF_JOB = (
    Action(
        "run-now",
        "Run now",
        "play",
        ("scheduled", "retrying"),
        "It becomes ready at once, whatever time it was due.",
        "ready",
    ),
    Action(
        "retry",
        "Retry",
        "retrying",
        ("dead", "cancelled"),
        "It runs again from its first attempt.",
        "ready again",
    ),
    Action(
        "edit",
        "Edit",
        "edit",
        (*_WAITING, "dead"),
        "Changes what has not started; the id stays.",
        "changed",
    ),
    Action(
        "duplicate",
        "Duplicate",
        "copy",
        (*_WAITING, "running", "succeeded", "cancelled", "dead"),
        "Enters a new job like this one, with other values where you change them; without its "
        "unique key.",
        "duplicated",
    ),
    Action(
        "cancel",
        "Cancel",
        "cancelled",
        (*_WAITING, "running"),
        "A job that waits ends now; the handler of one that runs is told to stop.",
        "cancelled",
        is_final=True,
    ),
)


def named(kind: str) -> Action:
    """The action of that path. Raises KeyError."""
    return {action.path: action for action in OF_JOB}[kind]  # type: ignore[index]


def faces_of(kind: Kind, arguments: Mapping[str, Any], curl: Curl) -> Faces:
    """A job's action elsewhere; `arguments` are those of its verb."""
    id_ = arguments["p_id"]
    verb = kind.replace("-", "_")
    changes = {
        name.removeprefix("p_"): value
        for name, value in arguments.items()
        if name != "p_id" and value is not None
    }
    body = {
        name: masking.read(value) if name == "payload" else faces.plain(value)
        for name, value in changes.items()
    }
    code = faces.python(verb, arguments)
    if kind == "cancel":
        code = f"await app.job({id_}).cancel()"
    path = f"/api/v1/jobs/{id_}"
    return Faces(
        faces.call(verb, arguments),
        curl("PATCH", path, body)
        if kind == "edit"
        else curl("POST", f"{path}/{kind}", body if kind == "duplicate" else None),
        faces.cli("job", kind, id_, options=changes),
        code,
    )
