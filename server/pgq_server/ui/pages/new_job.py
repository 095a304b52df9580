"""`/ui/new`: the dialog in which a job is entered, with fields that its task's schema names."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field
from starlette.responses import Response

from pgq_server import masking
from pgq_server.call import Call
from pgq_server.gateway import Row
from pgq_server.models.base import Name, Request, Text
from pgq_server.problems import invalid
from pgq_server.ui import faces, forms, schemas
from pgq_server.ui.faces import Faces
from pgq_server.ui.page import go, page_route, show

_TASKS = ("task", "schema::text", "queues", "workers")


class Query(forms.Fields):
    """What is chosen already."""

    task: Name | None = None
    queue: Name | None = None
    mode: Literal["form", "json"] | None = None


class NewJob(Request):
    """The form; arguments of the task come as `argument.<name>`."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    task: Name
    queue: Name = "default"
    mode: Literal["form", "json"] = "json"
    payload: Text = "{}"
    priority: Annotated[int, BeforeValidator(forms.number), Field(ge=0, le=9)] = 5
    delay: Annotated[timedelta | None, BeforeValidator(forms.duration)] = None
    max_attempts: Annotated[int | None, BeforeValidator(forms.number), Field(ge=1, le=32_767)] = (
        None
    )
    timeout: Annotated[timedelta | None, BeforeValidator(forms.duration)] = None
    unique_key: Name | None = None
    tags: Annotated[Text, Field(max_length=2000)] = ""

    @property
    def arguments(self) -> Mapping[str, str]:
        """The fields of the task's own. Raises `Refusal` for fields that nobody knows."""
        extra = self.model_extra or {}
        unknown = [name for name in extra if not name.startswith(schemas.PREFIX)]
        if unknown:
            raise invalid(f"body.{unknown[0][:200]}", "unknown")
        return {name: str(value) for name, value in extra.items()}


@dataclass(frozen=True)
class View:
    """What the dialog says."""

    tasks: Sequence[Row]
    query: Query
    fields: Sequence[schemas.Field] | None

    @property
    def mode(self) -> str:
        return "form" if self.fields and self.query.mode != "json" else "json"

    @property
    def chosen(self) -> Row | None:
        return _found(self.tasks, self.query.task)

    @property
    def queue(self) -> str:
        queues = [queue for queue in (self.chosen or {}).get("queues", ()) if queue != "*"]
        first = "default" if "default" in queues or not queues else queues[0]
        return self.query.queue or first

    @property
    def example(self) -> str:
        """A payload to begin with: every argument with its default."""
        values = {
            each.name: each.default if each.kind in ("text", "choice") else _default(each)
            for each in self.fields or ()
        }
        return masking.write(values, indent=2)


def _default(field: schemas.Field) -> Any:
    if field.default:
        return masking.read(field.default)
    return False if field.kind == "yes" else None


async def ask(call: Call[None, Query]) -> Response:
    """The dialog."""
    tasks = await call.db.rows("list_tasks", _TASKS)
    view = View(tasks, call.query, _fields(tasks, call.query.task))
    return show(call, "new_job.html", view, page="/ui/jobs")


async def enter(call: Call[None, None, NewJob]) -> Response:
    """Enters the job, and leads to it."""
    row = await call.db.row("enqueue", ("id", "created"), **await _arguments(call))
    return go(call, f"/ui/jobs/{row['id']}")


async def elsewhere(call: Call[None, None, NewJob]) -> Response:
    """What the button would do with the form as it is, as SQL, curl, command line and Python."""
    return show(call, "faces.html", _faces(call, await _arguments(call)))


async def _arguments(call: Call[None, None, NewJob]) -> dict[str, Any]:
    """Those of `enqueue` that the form sets. Raises `Refusal`."""
    form = call.body
    call.check_queue(form.queue)
    payload = form.payload
    given = form.arguments
    if form.mode == "form":
        fields = _fields(await call.db.rows("list_tasks", _TASKS), form.task)
        if fields is None:
            raise invalid("body.task", "no worker tells what it takes any more; enter JSON")
        try:
            payload = schemas.payload(given, fields)
        except ValueError as error:
            raise invalid("body.payload", str(error)) from None
    else:
        try:
            masking.read(payload)
        except ValueError as error:
            raise invalid("body.payload", f"is no JSON: {error}") from None
    options = {
        "queue": form.queue,
        "priority": form.priority,
        "delay": form.delay,
        "max_attempts": form.max_attempts,
        "timeout": form.timeout,
        "unique_key": form.unique_key,
        "tags": form.tags.replace(",", " ").split(),
    }
    set_ = {f"p_{name}": each for name, each in options.items() if each not in (None, [])}
    return {"p_task": form.task, "p_payload": payload, **set_}


def _found(tasks: Sequence[Row], name: str | None) -> Row | None:
    return next((task for task in tasks if task["task"] == name), None)


def _fields(tasks: Sequence[Row], name: str | None) -> list[schemas.Field] | None:
    task = _found(tasks, name)
    return schemas.fields(json.loads(task["schema"] or "null")) if task else None


def _faces(call: Call[Any, Any, Any], arguments: Mapping[str, Any]) -> Faces:
    task, payload = arguments["p_task"], arguments["p_payload"]
    options = {
        name.removeprefix("p_"): value
        for name, value in arguments.items()
        if name not in ("p_task", "p_payload")
    }
    body = {"task": task, "payload": masking.read(payload)}
    for name, value in options.items():
        is_time = isinstance(value, timedelta)
        body[f"{name}_seconds" if is_time else name] = value.total_seconds() if is_time else value
    words = {"tag" if name == "tags" else name: value for name, value in options.items()}
    return Faces(
        faces.call("enqueue", arguments, rows=True),
        forms.curl(call)("POST", "/api/v1/jobs", body),
        faces.cli("enqueue", task, payload, options=words),
        _python(task, payload, options) or faces.python("enqueue", arguments),
    )


def _python(task: str, payload: str, options: Mapping[str, Any]) -> str | None:
    """The call of an app; None where Python's numbers would not keep the payload as it is."""
    value = json.loads(payload)
    if value is None or masking.write(masking.read(payload)) != json.dumps(
        value, ensure_ascii=False
    ):
        return None
    given = [repr(task), repr(value)]
    for name, each in options.items():
        is_time = isinstance(each, timedelta)
        given.append(f"{name}={each.total_seconds() if is_time else each!r}")
    return f"await app.enqueue({', '.join(given)})"


ROUTES = (
    page_route(
        "GET",
        "/ui/new",
        ask,
        "The dialog for a new job",
        query=Query,
        scopes=("enqueue", "operate"),
        reach="handler",
    ),
    page_route(
        "POST",
        "/ui/new/faces",
        elsewhere,
        "A new job as SQL, curl, command line and Python",
        body=NewJob,
        scopes=("enqueue", "operate"),
        reach="handler",
    ),
    page_route(
        "POST",
        "/ui/new",
        enter,
        "Enter a job",
        body=NewJob,
        scopes=("enqueue", "operate"),
        reach="handler",
    ),
)
