"""`/ui/operations`: what is done to many jobs at once, previewed, slice by slice."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field
from starlette.responses import Response

from pgq_server import masking
from pgq_server.call import Call
from pgq_server.gateway import Row
from pgq_server.models.base import Id, Name, Request, Text
from pgq_server.problems import Refusal, invalid
from pgq_server.ui import faces, figures, filters, forms
from pgq_server.ui.faces import Faces
from pgq_server.ui.page import done, go, is_fragment, page_route, show

CAP = 10_000
EVER = "-infinity"
"""Since when jobs were made, where all of them are meant."""
COUNTING = timedelta(seconds=0.2)
"""How long the preview may count."""
Verb = Literal["cancel", "retry", "run_now", "purge"]
_COLUMNS = (
    "id", "verb", "filter::text", "rate", "state", "found", "done", "skipped", "started_at",
    "finished_at", "by", "message", "expected",
)  # fmt: skip
WORDS: Mapping[Verb, str] = {
    "cancel": "Cancel",
    "retry": "Retry",
    "run_now": "Run now",
    "purge": "Purge",
}
TOLD: Mapping[Verb, str] = {
    "cancel": "Those that wait end now; the handlers of those that run are told to stop.",
    "retry": "They run again from their first attempt.",
    "run_now": "They become ready at once, whatever time they were due.",
    "purge": "They are deleted for good, with their payloads and logs.",
}
STATES: Mapping[Verb, tuple[str, ...]] = {
    "cancel": ("ready", "scheduled", "retrying", "running"),
    "retry": ("dead", "cancelled"),
    "run_now": ("scheduled", "retrying"),
    "purge": ("dead",),
}


class Start(forms.Fields):
    """The form. Which jobs: those of the ids, else those that the filter finds."""

    verb: Verb
    q: Annotated[Text, Field(max_length=1000)] = ""
    state: Literal["scheduled", "ready", "running", "retrying", "cancelled", "dead"] | None = None
    queue: Name | None = None
    task: Name | None = None
    fingerprint: Annotated[Text, Field(max_length=200)] | None = None
    id: Annotated[list[Id], Field(max_length=1000, default_factory=list)]
    limit: Annotated[int | None, BeforeValidator(forms.number), Field(ge=1)] = None
    rate: Annotated[float | None, BeforeValidator(forms.decimal), Field(gt=0, le=1e6)] = None
    payload: Text | None = None


class OperationPath(Request):
    """Names an operation."""

    id: Id


@dataclass(frozen=True)
class Target:
    """The jobs that are meant, as arguments of verbs."""

    scope: Start
    filter: filters.Filter
    conditions: Mapping[str, Any]

    @property
    def arguments(self) -> dict[str, Any]:
        """Of `start_operation` and `count_jobs`."""
        if self.scope.id:
            return {"p_ids": list(self.scope.id), "p_queues": self.conditions["p_queues"]}
        if any(value for name, value in self.conditions.items() if name != "p_queues"):
            return dict(self.conditions)
        return {**self.conditions, "p_created_after": EVER}


@dataclass(frozen=True)
class AskView:
    """What the dialog says."""

    target: Target
    n: int | None
    is_more: bool
    faces: Faces | None

    @property
    def scope(self) -> Start:
        return self.target.scope

    @property
    def words(self) -> str:
        return WORDS[self.scope.verb]

    @property
    def told(self) -> str:
        return TOLD[self.scope.verb]

    @property
    def states(self) -> tuple[str, ...]:
        """The states to choose from; none when the choice is made."""
        if self.scope.id or self.scope.fingerprint or self.target.filter.state:
            return ()
        states = STATES[self.scope.verb]
        return states if len(states) > 1 else ()

    @property
    def state(self) -> str | None:
        state: str | None = self.target.conditions["p_state"]
        return state

    @property
    def problem(self) -> str | None:
        """Why it cannot be done."""
        if self.target.filter.problems:
            return self.target.filter.problems[0]
        if not self.scope.id and self.state and self.state not in STATES[self.scope.verb]:
            states = " or ".join(STATES[self.scope.verb])
            return f"Jobs that are {self.state} do not allow it; expected {states}."
        return None

    @property
    def count_words(self) -> str:
        """How many there are."""
        if self.n is None:
            return "jobs, counted as it goes"
        return f"{self.n:,}{'+' if self.is_more else ''} job{'' if self.n == 1 else 's'}"

    @property
    def which(self) -> str:
        """The jobs in words."""
        if self.scope.id:
            return "those that are selected"
        parts = [filters.word(key, value) for key, value in self.target.filter.words]
        if not self.target.filter.state and self.state:
            parts.append(f"state:{self.state}")
        for key in ("queue", "task", "fingerprint"):
            if value := getattr(self.scope, key):
                parts.append(filters.word(key, value))
        return " ".join(parts) or "all jobs that allow it"


@dataclass(frozen=True)
class Operation:
    """One that was started."""

    row: Row

    def __getattr__(self, name: str) -> Any:
        try:
            return self.row[name]
        except KeyError:
            raise AttributeError(name) from None

    @property
    def words(self) -> str:
        return WORDS.get(self.row["verb"], self.row["verb"])

    @property
    def is_over(self) -> bool:
        return bool(self.row["state"] != "running")

    @property
    def share(self) -> float:
        gone = self.row["done"] + self.row["skipped"]
        if self.is_over:
            return 1.0
        total = self.row["expected"] or self.row["found"]
        return min(gone / total, 1.0) if total else 0.0

    @property
    def which(self) -> str:
        """The filter, in words."""
        found = json.loads(self.row["filter"] or "{}")
        if not isinstance(found, dict):
            return str(found)
        told = []
        for name, value in found.items():
            if value in (None, [], {}):
                continue
            if name == "ids" and isinstance(value, list):
                told.append(figures.count(len(value), "selected job"))
            else:
                text = ".".join(map(str, value)) if isinstance(value, list) else str(value)
                told.append(filters.word(name, text))
        return " ".join(told) or "all"


async def operations(call: Call) -> Response:
    """All operations of late."""
    rows = await call.db.rows("list_operations", _COLUMNS)
    view = {"operations": [Operation(row) for row in rows if _is_reached(call, row)]}
    live = "pgq:change from:body throttle:1s, every 5s"
    return show(call, "operations.html", view, page="/ui/operations", live=live)


async def operation(call: Call[OperationPath]) -> Response:
    """One operation: its progress."""
    return show(call, "operation.html", Operation(await _reached(call)), page="/ui/operations")


async def ask(call: Call[None, Start]) -> Response:
    """The dialog: what will be done, to how many."""
    return show(call, "operation_new.html", await _asked(call, call.query), page="/ui/jobs")


async def elsewhere(call: Call[None, None, Start]) -> Response:
    """What the button would do with the form as it is: how many, and as SQL, curl, …"""
    return show(call, "operation_faces.html", await _asked(call, call.body))


async def _asked(call: Call[Any, Any, Any], scope: Start) -> AskView:
    target = await _target(call, scope)
    view = AskView(target, None, False, None)
    if view.problem is not None:
        return view
    payload = _payload(scope)
    n, is_more = await _preview(call, target)
    return AskView(target, n, is_more, _faces(call, target, payload))


async def start(call: Call[None, None, Start]) -> Response:
    """Starts it; upkeep goes on with it, slice by slice."""
    form = call.body
    target = await _target(call, form)
    view = AskView(target, None, False, None)
    if view.problem:
        raise Refusal("invalid-request", view.problem)
    payload = _payload(form)
    id_ = await call.db.value(
        "start_operation",
        p_verb=form.verb,
        **target.arguments,
        p_limit=form.limit,
        p_rate=form.rate,
        p_payload=payload,
        p_by=call.identity.name,
    )
    if not is_fragment(call.request):
        return go(call, f"/ui/operations/{id_}")
    row = await call.db.row("get_operation", _COLUMNS, p_id=id_)
    return show(call, "operation.html", Operation(row), page="/ui/operations")


async def stop(call: Call[OperationPath]) -> Response:
    """Stops one; what it has done stays done."""
    await _reached(call)
    await call.db.value("stop_operation", p_id=call.path.id)
    return done(call, f"Operation {call.path.id} is stopped.", "/ui/operations")


async def _reached(call: Call[OperationPath]) -> Row:
    row = await call.db.row("get_operation", _COLUMNS, p_id=call.path.id)
    if not _is_reached(call, row):
        raise Refusal("not-found", f"There is no operation {call.path.id}.")
    return row


def _is_reached(call: Call[Any, Any, Any], row: Row) -> bool:
    """Whether it was kept to queues of who asks when it was started."""
    queues = json.loads(row["filter"]).get("queues")
    return call.identity.queues is None or (
        queues is not None and all(map(call.identity.reaches, queues))
    )


def _payload(form: Start) -> str | None:
    """What is changed in each payload. Raises `Refusal`."""
    if not form.payload or form.verb != "retry":
        return None
    try:
        value = masking.read(form.payload)
    except ValueError as error:
        raise invalid("body.payload", f"is no JSON: {error}") from None
    if not isinstance(value, dict):
        raise invalid("body.payload", "expected an object, whose keys are set in each payload")
    return masking.write(value)


async def _target(call: Call[Any, Any, Any], scope: Start) -> Target:
    wanted = filters.parse(scope.q, datetime.now(UTC))
    worker = None
    if wanted.worker and not wanted.worker.isdecimal():
        worker = wanted.worker_among(await call.db.rows("list_workers", ("id", "name")))
    elif wanted.worker:
        worker = wanted.worker_among(())
    for queue in filter(None, (scope.queue, wanted.queue)):
        call.check_queue(queue, "queue")
    conditions = {
        **wanted.arguments(worker),
        "p_fingerprint": scope.fingerprint,
        "p_queues": call.identity.only,
    }
    conditions["p_queue"] = conditions["p_queue"] or scope.queue
    conditions["p_task"] = conditions["p_task"] or scope.task
    conditions["p_state"] = wanted.state or scope.state
    if wanted.id is not None and not scope.id:
        scope = scope.model_copy(update={"id": [wanted.id]})
    return Target(scope, wanted, conditions)


async def _preview(call: Call[Any, Any, Any], target: Target) -> tuple[int, bool]:
    limit = target.scope.limit
    row = await call.db.row(
        "count_jobs",
        ("n", "capped", "looked_to"),
        **target.arguments,
        p_verb=target.scope.verb,
        p_cap=min(limit, CAP) if limit else CAP,
        p_budget=COUNTING,
    )
    is_more = row["capped"] or row["looked_to"] is not None
    return row["n"], is_more and not (limit and row["n"] >= limit)


def _faces(call: Call[Any, Any, Any], target: Target, payload: str | None) -> Faces:
    scope = target.scope
    arguments = {
        "p_verb": scope.verb,
        **target.arguments,
        "p_limit": scope.limit,
        "p_rate": scope.rate,
        "p_payload": payload,
    }
    return Faces(
        faces.call("start_operation", arguments),
        forms.curl(call)("POST", "/api/v1/operations", _body(target, payload)),
        _command(target, payload),
        faces.python("start_operation", arguments),
    )


def _body(target: Target, payload: str | None) -> dict[str, Any]:
    """The same as a request of the API, which limits a token to its queues by itself."""
    scope = target.scope
    given = {"limit": scope.limit, "rate": scope.rate}
    more: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if payload is not None:
        more["payload"] = masking.read(payload)
    if scope.id:
        return {"verb": scope.verb, "ids": scope.id, **more}
    conditions: dict[str, Any] = {}
    for name, value in target.arguments.items():
        if value is None or name == "p_queues":
            continue
        if value == EVER:
            value = datetime.min.replace(tzinfo=UTC)
        conditions[name.removeprefix("p_")] = faces.plain(value)
    return {"verb": scope.verb, "filter": conditions, **more}


_DEAD_ONLY = ("queue", "task", "fingerprint")
"""Conditions that the commands for dead letters take; those for jobs take all others."""


def _command(target: Target, payload: str | None) -> str | None:
    """The command line, which starts the same operation; it is not limited to queues by a token."""
    scope, conditions = target.scope, target.conditions
    found = {
        name.removeprefix("p_"): value
        for name, value in target.arguments.items()
        if value is not None and name not in ("p_queues", "p_ids", "p_path", "p_value")
    }
    is_everywhere = found.pop("created_after", None) if found.get("created_after") == EVER else None
    if conditions["p_path"]:
        found["where"] = f"{'.'.join(conditions['p_path'])}={conditions['p_value']}"
    if is_everywhere:
        found["all"] = True
    more = {"limit": scope.limit, "rate": scope.rate, "payload": payload}
    if scope.id and scope.verb == "purge":
        options = {"limit": scope.limit}
        return None if scope.rate else faces.cli("dead", "purge", *scope.id, options=options)
    if scope.id:
        if payload and not scope.limit and not scope.rate:
            more["limit"] = len(scope.id)  # else it would be one job's whole payload
        return faces.cli("job", scope.verb.replace("_", "-"), *scope.id, options=more)
    if conditions["p_queues"] is not None and "queue" not in found:
        return None
    if scope.verb != "purge" and not scope.fingerprint:
        return faces.cli("job", scope.verb.replace("_", "-"), options={**found, **more})
    if found.pop("state", "dead") != "dead" or not found.keys() <= {*_DEAD_ONLY, "all"}:
        return None
    if scope.verb == "retry":
        return faces.cli("dead", "retry", options={**found, **more})
    if scope.rate:
        return None
    if found.pop("all", False) or not found:
        found["older_than"] = "0s"
    return faces.cli("dead", "purge", options={**found, "limit": scope.limit})


ROUTES = (
    page_route("GET", "/ui/operations", operations, "Operations", reach="handler"),
    page_route(
        "GET",
        "/ui/operations/new",
        ask,
        "The dialog of a bulk action",
        query=Start,
        scopes=("operate",),
        reach="handler",
    ),
    page_route(
        "POST",
        "/ui/operations/faces",
        elsewhere,
        "A bulk action as it is in the form: how many jobs, and as SQL, curl, command line, Python",
        body=Start,
        scopes=("operate",),
        reach="handler",
    ),
    page_route(
        "POST",
        "/ui/operations",
        start,
        "A bulk action",
        body=Start,
        scopes=("operate",),
        reach="handler",
    ),
    page_route(
        "GET",
        "/ui/operations/{id}",
        operation,
        "An operation",
        path_model=OperationPath,
        reach="handler",
    ),
    page_route(
        "POST",
        "/ui/operations/{id}/stop",
        stop,
        "Stop an operation",
        path_model=OperationPath,
        scopes=("operate",),
        reach="handler",
    ),
)
