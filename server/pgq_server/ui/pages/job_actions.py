"""`/ui/jobs/{id}/{action}`: what can be done to one job, as a dialog and as the deed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from pydantic import BeforeValidator, Field
from starlette.responses import Response

from pgq_server import masking
from pgq_server.call import Call
from pgq_server.gateway import Row, verb
from pgq_server.models.base import Id, Name, Request, Text
from pgq_server.problems import Refusal, invalid
from pgq_server.ui import actions, forms
from pgq_server.ui.faces import Faces
from pgq_server.ui.page import done, go, page_route, show

_JOB = ("id", "task", "queue", "priority", "state", "run_at")
_WITH_PAYLOAD = ("edit", "duplicate")


class ActionPath(Request):
    """Names a job and what to do to it."""

    id: Id
    action: actions.Kind


class Changes(Request):
    """The form of those actions that have one."""

    payload: Text | None = None
    queue: Name | None = None
    priority: Annotated[int | None, BeforeValidator(forms.number), Field(ge=0, le=9)] = None
    run_at: Annotated[datetime | None, BeforeValidator(forms.moment)] = None


@dataclass(frozen=True)
class View:
    """What the dialog says."""

    action: actions.Action
    job: Row
    content: str | None
    faces: Faces | None

    @property
    def is_allowed(self) -> bool:
        return self.job["state"] in self.action.states

    @property
    def _original(self) -> Any:
        return masking.read(self.content or "{}")

    @property
    def payload(self) -> str:
        return masking.write(masking.masked(self._original), indent=2)

    @property
    def is_masked(self) -> bool:
        return masking.MASK in self.payload

    @property
    def run_at(self) -> str:
        at = self.job["run_at"]
        waits = self.job["state"] in ("scheduled", "retrying")
        return forms.shown_moment(at) if at and waits and self.action.path == "edit" else ""


async def ask(call: Call[ActionPath]) -> Response:
    """The dialog."""
    job, content = await _found(call)
    told = None
    if call.path.action != "edit":
        told = actions.faces_of(call.path.action, {"p_id": call.path.id}, forms.curl(call))
    view = View(actions.named(call.path.action), job, content, told)
    return show(call, "action.html", view, page="/ui/jobs")


async def elsewhere(call: Call[ActionPath, None, Changes]) -> Response:
    """What the button would do with the form as it is, as SQL, curl, command line and Python."""
    job, content = await _found(call)
    changes = _changes(call, job, content)
    if call.path.action == "edit" and all(value is None for value in changes.values()):
        raise Refusal("invalid-request", "Nothing is changed yet.")
    if changes["p_payload"] and _keeps_masked(call.body):
        raise Refusal(
            "invalid-request",
            "The payload keeps values that are masked here, and they are not told: only this form "
            "can change the rest of it.",
        )
    arguments = {"p_id": call.path.id, **changes}
    view = actions.faces_of(call.path.action, arguments, forms.curl(call))
    return show(call, "faces.html", view)


async def act(call: Call[ActionPath, None, Changes]) -> Response:
    """The deed."""
    action = actions.named(call.path.action)
    id_ = call.path.id
    here = f"/ui/jobs/{id_}"
    if action.path in _WITH_PAYLOAD:
        job, content = await _found(call)
        changes = _changes(call, job, content)
        if action.path == "duplicate":
            call.check_queue(call.body.queue or job["queue"])
            new = await call.db.value("duplicate", p_id=id_, **changes)
            return go(call, f"/ui/jobs/{new}")
        await call.db.value("edit", p_id=id_, **changes)
    elif action.path == "run-now":
        await call.db.value("run_now", p_id=id_)
    else:
        answer = await call.db.value(action.path, p_id=id_)
        if answer == "requested":
            return done(call, f"Job {id_}: its handler is told to stop.", here)
    return done(call, f"Job {id_} is {action.done}.", here)


async def _found(call: Call[ActionPath, Any, Any]) -> tuple[Row, str | None]:
    of = {"p_id": call.path.id}
    if call.path.action not in _WITH_PAYLOAD:
        return await call.db.row("get_job", _JOB, **of), None
    jobs, contents = await call.db.batch(
        verb("get_job", _JOB, **of), verb("get_payload", ("payload::text",), **of)
    )
    return jobs[0], contents[0]["payload"]


def _changes(
    call: Call[ActionPath, None, Changes], job: Row, content: str | None
) -> dict[str, Any]:
    """Arguments of the verbs; None leaves as it is."""
    form = call.body
    payload = None
    if form.payload is not None:
        original = masking.read(content or "null")
        try:
            value = masking.restored(masking.read(form.payload), original)
        except ValueError as error:
            raise invalid("body.payload", f"is no JSON: {error}") from None
        if value != original:
            payload = masking.write(value)
    priority = None if form.priority == job["priority"] else form.priority
    run_at = None
    if form.run_at is not None and (
        job["run_at"] is None
        or forms.shown_moment(job["run_at"]) != forms.shown_moment(form.run_at)
    ):
        run_at = form.run_at
    changes = {"p_payload": payload, "p_priority": priority, "p_run_at": run_at}
    if call.path.action == "duplicate" and form.queue != job["queue"]:
        changes["p_queue"] = form.queue
    return changes


def _keeps_masked(form: Changes) -> bool:
    """Whether something stands in the payload for a value that is not shown."""
    return form.payload is not None and masking.MASK in masking.write(masking.read(form.payload))


ROUTES = (
    page_route(
        "GET",
        "/ui/jobs/{id}/{action}",
        ask,
        "The dialog of an action on a job",
        path_model=ActionPath,
        scopes=("operate",),
        reach="job",
    ),
    page_route(
        "POST",
        "/ui/jobs/{id}/{action}/faces",
        elsewhere,
        "An action on a job as SQL, curl, command line and Python",
        path_model=ActionPath,
        body=Changes,
        scopes=("operate",),
        reach="job",
    ),
    page_route(
        "POST",
        "/ui/jobs/{id}/{action}",
        act,
        "An action on a job",
        path_model=ActionPath,
        body=Changes,
        scopes=("operate",),
        reach="job",
    ),
)
