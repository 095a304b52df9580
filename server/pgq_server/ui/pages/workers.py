"""`/ui/workers`: who runs the jobs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from starlette.responses import Response

from pgq_server.call import Call
from pgq_server.gateway import Row
from pgq_server.models.base import Id, Request
from pgq_server.ui import faces, forms
from pgq_server.ui.faces import Faces
from pgq_server.ui.page import done, page_route, show

_COLUMNS = (
    "id", "name", "state", "queues", "slots", "busy", "started_at", "heartbeat_at", "info::text",
)  # fmt: skip
_ORDER = ("busy", "available", "draining", "offline")


class ActionPath(Request):
    """Names a worker and what to do to it."""

    id: Id
    action: Literal["drain", "undrain"]


@dataclass(frozen=True)
class View:
    """What the page says."""

    workers: Sequence[Row]

    @property
    def live(self) -> list[Row]:
        return [worker for worker in self.workers if worker["state"] != "offline"]

    @property
    def slots(self) -> int:
        return sum(worker["slots"] for worker in self.live)

    @property
    def busy(self) -> int:
        return sum(worker["busy"] for worker in self.live)

    def facts(self, worker: Row) -> str:
        """What it told of itself, in a line."""
        info: Any = json.loads(worker["info"] or "{}")
        if not isinstance(info, dict):
            return ""
        plain = {name: value for name, value in info.items() if isinstance(value, str | int)}
        return ", ".join(f"{name} {value}" for name, value in plain.items())[:200]


async def workers(call: Call) -> Response:
    """All workers."""
    rows = await call.db.rows("list_workers", _COLUMNS)
    reached = [row for row in rows if any(map(call.identity.reaches, row["queues"]))]
    reached.sort(key=lambda row: (_ORDER.index(row["state"]), row["name"], row["id"]))
    return show(call, "workers.html", View(reached), page="/ui/workers", live=_LIVE)


async def ask(call: Call[ActionPath]) -> Response:
    """The dialog of an action."""
    worker = await call.db.row("get_worker", _COLUMNS, p_id=call.path.id)
    is_on = call.path.action == "drain"
    curl = forms.curl(call)
    arguments = {"p_worker": worker["id"], "p_on": is_on}
    told = Faces(
        faces.call("drain", arguments),
        curl("POST", f"/api/v1/workers/{worker['id']}/drain", {"on": is_on}),
        faces.cli("workers", "drain", worker["id"], options={} if is_on else {"off": True}),
        faces.python("drain", arguments),
    )
    view = {"worker": worker, "is_on": is_on, "faces": told}
    return show(call, "worker_action.html", view, page="/ui/workers")


async def act(call: Call[ActionPath]) -> Response:
    """The deed."""
    is_on = call.path.action == "drain"
    await call.db.value("drain", p_worker=call.path.id, p_on=is_on)
    words = "finishes what it has and takes no more." if is_on else "takes jobs again."
    return done(call, f"Worker {call.path.id} {words}", "/ui/workers")


_LIVE = "pgq:change from:body throttle:2s, every 5s"

ROUTES = (
    page_route("GET", "/ui/workers", workers, "Workers", reach="handler"),
    page_route(
        "GET",
        "/ui/workers/{id}/{action}",
        ask,
        "The dialog of an action on a worker",
        path_model=ActionPath,
        scopes=("operate",),
        reach="service",
    ),
    page_route(
        "POST",
        "/ui/workers/{id}/{action}",
        act,
        "An action on a worker",
        path_model=ActionPath,
        scopes=("operate",),
        reach="service",
    ),
)
