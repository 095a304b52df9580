"""A route, declared as data.

A row says everything about a route but what it does:

    Route(
        "GET", "/api/v1/jobs/{id}", jobs.show,
        summary="A job", tag="jobs", scopes=("view", "enqueue"), reach="job",
        path_model=JobPath, query=Wait, answer=JobDetail, errors=("not-found",), etag=True,
    )

- `scopes`: any one of them lets in (`admin` always does, `operate` includes `view`); `PUBLIC` lets
  everyone in.
- `reach`: what a token that is limited to queues meets here. `job`: `{id}` is a job's, which must
  be of its queues, else 404. `queue`: so must `{queue}`, else 403. `handler`: the handler calls
  `call.check_queue`, or lists by `call.identity.only`. `service`: such tokens are refused. `open`:
  there is nothing of any queue here.
- `path_model`, `query`, `body`: pydantic models of what comes in; unknown fields are refused.
- `form`: the body is a form of a page's, whose empty fields count as left out, in place of JSON.
- `answer`: the model of what goes out with `status`; None is 204, or another `media` type. `also`:
  other ways to succeed, as (status, model).
- `errors`: names of problems, apart from those that any such route may answer (`problems`).
- `idempotent`: takes an `Idempotency-Key`; only for what is done in one transaction.
- `traced`: the trace of the request goes into the headers of the jobs that it makes.
- `etag`: the answer has an ETag, and If-None-Match is heeded.
- `refusal`: makes the response of a problem in place of JSON; pages have one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from pgq_server.access import Scope
from pgq_server.call import Answered, Call
from pgq_server.problems import Name, Refusal

Method = Literal["GET", "POST", "PATCH", "PUT", "DELETE"]
Reach = Literal["job", "queue", "handler", "service", "open"]
Scopes = tuple[Scope, ...] | Literal["public"]
PUBLIC: Literal["public"] = "public"

API = "/api/v1"
JSON = "application/json"
HTML = "text/html"
EVENTS = "text/event-stream"


@dataclass(frozen=True, slots=True)
class Route:
    """A row of the table."""

    method: Method
    path: str
    handler: Callable[[Call[Any, Any, Any]], Awaitable[Answered]]
    scopes: Scopes = field(kw_only=True)
    reach: Reach = field(kw_only=True)
    summary: str = field(kw_only=True)
    tag: str = field(kw_only=True)
    description: str = field(default="", kw_only=True)
    path_model: type[BaseModel] | None = field(default=None, kw_only=True)
    query: type[BaseModel] | None = field(default=None, kw_only=True)
    body: type[BaseModel] | None = field(default=None, kw_only=True)
    answer: type[BaseModel] | None = field(default=None, kw_only=True)
    status: int = field(default=200, kw_only=True)
    also: tuple[tuple[int, type[BaseModel] | None], ...] = field(default=(), kw_only=True)
    media: str = field(default=JSON, kw_only=True)
    errors: tuple[Name, ...] = field(default=(), kw_only=True)
    form: bool = field(default=False, kw_only=True)
    idempotent: bool = field(default=False, kw_only=True)
    traced: bool = field(default=False, kw_only=True)
    etag: bool = field(default=False, kw_only=True)
    refusal: Callable[[Request, Refusal], Response] | None = field(default=None, kw_only=True)

    @property
    def is_public(self) -> bool:
        """Whether nobody is asked who they are."""
        return self.scopes == PUBLIC

    def problems(self) -> tuple[Name, ...]:
        """Names of the problems that it may answer."""
        names: list[Name] = []
        if self.path_model or self.query or self.body:
            names += ["invalid-request"]
        if self.body:
            names += ["malformed", "too-large", "unsupported-media-type"]
        if self.idempotent:
            names += ["in-progress", "key-reused"]
        if not self.is_public:
            names += ["unauthenticated", "forbidden", "internal", "unavailable"]
        return tuple(dict.fromkeys((*names, *self.errors)))
