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
    faces: Faces

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
    view = View(tasks, call.query, _fields(tasks, call.query.task), _faces(call))
    return show(call, "new_job.html", view, page="/ui/jobs")


async def enter(call: Call[None, None, NewJob]) -> Response:
    """Enters the job, and leads to it."""
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
    row = await call.db.row(
        "enqueue",
        ("id", "created"),
        p_task=form.task,
        p_payload=payload,
        p_queue=form.queue,
        p_priority=form.priority,
        p_delay=form.delay,
        p_max_attempts=form.max_attempts,
        p_timeout=form.timeout,
        p_unique_key=form.unique_key,
        p_tags=form.tags.replace(",", " ").split(),
    )
    return go(call, f"/ui/jobs/{row['id']}")


def _found(tasks: Sequence[Row], name: str | None) -> Row | None:
    return next((task for task in tasks if task["task"] == name), None)


def _fields(tasks: Sequence[Row], name: str | None) -> list[schemas.Field] | None:
    task = _found(tasks, name)
    return schemas.fields(json.loads(task["schema"] or "null")) if task else None


def _faces(call: Call[None, Query]) -> Faces:
    task = call.query.task or "echo"
    queue = call.query.queue or "default"
    payload = '{"text": "hello"}'
    return Faces(
        "insert into pgq.job (task, payload, queue) values "
        f"({faces.literal(task)}, {faces.literal(payload)}, {faces.literal(queue)});",
        forms.curl(call)(
            "POST",
            "/api/v1/jobs",
            {"task": task, "payload": json.loads(payload), "queue": queue},
        ),
        faces.cli("enqueue", task, payload, "--queue", queue),
        f"await app.enqueue({task!r}, {payload}, queue={queue!r})",
    )


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
        "/ui/new",
        enter,
        "Enter a job",
        body=NewJob,
        scopes=("enqueue", "operate"),
        reach="handler",
    ),
)
