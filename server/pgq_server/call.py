"""What a handler gets, and what it may answer.

    async def show(call: Call[JobPath, Wait]) -> JobDetail:
        row = await call.db.row("get_job", columns_of(JobDetail), p_id=call.path.id)
        return JobDetail(**row)

`Call[Path, Query, Body]` names the models that the route's row declares, in this order; what is
left out is None. Before a handler is called, who asks is known and has the scope, path, query and
body are valid, and for a token that is limited to queues, the job or queue in the path is one of
them (`Route.reach`).

A handler answers
- a model: JSON with the route's status;
- an `Answer`: a model with another status or more headers;
- None: 204;
- a Starlette `Response`: as it is (HTML, files, streams).

It raises `Refusal` for problems, and lets the errors of `pgq.errors` pass: they become problems.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response
from typing_extensions import TypeVar

from pgq_server.access import Identity
from pgq_server.gateway import Gateway
from pgq_server.problems import Refusal
from pgq_server.services import Services

if TYPE_CHECKING:
    from pgq_server.route import Route

P = TypeVar("P", default=None)
Q = TypeVar("Q", default=None)
B = TypeVar("B", default=None)


@dataclass(frozen=True, kw_only=True)
class Call(Generic[P, Q, B]):
    """One request."""

    request: Request
    route: Route
    services: Services
    identity: Identity
    db: Gateway
    """Calls verbs. Within an idempotent request all of them are one transaction."""
    path: P
    query: Q
    body: B

    def url(self, path: str) -> str:
        """`path` as the browser sees it: below the prefix."""
        return f"{self.services.settings.prefix}{path}"

    def check_queue(self, queue: str, location: str = "body.queue") -> None:
        """Refuse a queue that who asks may not touch."""
        if not self.identity.reaches(queue):
            raise Refusal("forbidden", f"{location}: this token is limited to other queues.")


@dataclass(frozen=True)
class Answer:
    """A model with its own status or headers."""

    model: BaseModel
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


Answered = BaseModel | Answer | Response | None
