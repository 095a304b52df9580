"""From a request to the handler of its route and back: the same steps for every row."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from pgq.errors import NoSuchJob
from pgq_server import documents, intake, problems, replays
from pgq_server.access import NOBODY, Identity, check_origin
from pgq_server.call import Answer, Answered, Call
from pgq_server.gateway import Gateway
from pgq_server.problems import Refusal
from pgq_server.route import JSON, Route
from pgq_server.services import Services

SAFE = ("GET", "HEAD")


class Endpoint:
    """All routes of one path, as an ASGI application."""

    def __init__(self, rows: Mapping[str, Route]) -> None:
        self._rows = rows
        self._any = next(iter(rows.values()), None)
        methods = {*rows, "OPTIONS", *(["HEAD"] if "GET" in rows else [])}
        self._allow = ", ".join(sorted(methods))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        route = self.route(request.method)
        try:
            response = await self._answered(request, route)
        except Exception as error:
            refusal = problems.refusal_of(error)
            known = route or self._any
            page = known.refusal if known else None
            response = page(request, refusal) if page else problems.response(refusal)
        response.headers.setdefault("X-Content-Type-Options", "nosniff")
        response.headers.setdefault("Cache-Control", "no-store")
        if request.method == "HEAD":
            response = _without_body(response)
        try:
            await response(scope, receive, send)
        except Exception as error:
            problems.refusal_of(error)  # too late to tell the client; the log is told

    def route(self, method: str) -> Route | None:
        """The route of a method."""
        return self._rows.get("GET" if method == "HEAD" else method)

    async def _answered(self, request: Request, route: Route | None) -> Response:
        services: Services = request.app.state.services
        services.access.check_host(request)
        identity = NOBODY
        if not self._is_public(route):
            identity = await services.access.identify(request)
        if route is None:
            return self._without_route(request)
        if not route.is_public:
            _check(request, route, identity)
        return await answer(request, route, identity, services)

    def _is_public(self, route: Route | None) -> bool:
        known = route or self._any
        return known is not None and known.is_public

    def _without_route(self, request: Request) -> Response:
        if not self._rows:
            raise Refusal("not-found", "There is nothing at this path.")
        if request.method == "OPTIONS":
            return Response(status_code=204, headers={"Allow": self._allow})
        raise Refusal(
            "method-not-allowed",
            f"This path takes {self._allow}.",
            headers={"Allow": self._allow},
        )


async def answer(
    request: Request, route: Route, identity: Identity, services: Services
) -> Response:
    """Read what came in, call the handler, and make a response of what it answers."""
    path = intake.path_of(request, route)
    query = intake.query_of(request, route)
    if route.reach == "queue" and not identity.reaches(path.queue):  # type: ignore[union-attr]
        raise Refusal("forbidden", "This token is limited to other queues.")
    if route.reach == "job" and identity.queues is not None:
        await _check_job(services.db, path.id, identity)  # type: ignore[union-attr]
    body, content = await intake.body_of(request, route, services.settings.body_limit)

    async def handled(db: Gateway) -> Response:
        call = Call(
            request=request,
            route=route,
            services=services,
            identity=identity,
            db=db,
            path=path,
            query=query,
            body=body,
        )
        return _response(await route.handler(call), route)

    key = replays.key_of(request) if route.idempotent else None
    if key is not None:
        return await replays.once(request, content, key, identity.owner, services.db, handled)
    response = await handled(services.db)
    return _tagged(request, response) if route.etag else response


def _check(request: Request, route: Route, identity: Identity) -> None:
    if not identity.may(route.scopes):
        raise Refusal(
            "forbidden",
            f"This needs a token with the scope {' or '.join(route.scopes)}.",
        )
    if route.reach == "service" and identity.queues is not None:
        raise Refusal("forbidden", "This token is limited to named queues.")
    if request.method not in SAFE:
        check_origin(request, identity)


async def _check_job(db: Gateway, job_id: int, identity: Identity) -> None:
    row = await db.row("get_job", ("queue",), p_id=job_id)
    if not identity.reaches(row["queue"]):
        raise NoSuchJob(f"there is no job {job_id}")


def _response(answered: Answered, route: Route) -> Response:
    if isinstance(answered, Response):
        return answered
    if answered is None:
        return Response(status_code=204)
    if isinstance(answered, BaseModel):
        answered = Answer(answered)
    return Response(
        documents.encode(answered.model),
        status_code=answered.status or route.status,
        media_type=JSON,
        headers=dict(answered.headers),
    )


def _tagged(request: Request, response: Response) -> Response:
    digest = hashlib.blake2b(response.body, digest_size=16).hexdigest()
    tag = f'"{digest}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    known = [part.strip() for part in request.headers.get("if-none-match", "").split(",")]
    if response.status_code == 200 and ("*" in known or {tag, f"W/{tag}"} & set(known)):
        return Response(status_code=304, headers=headers)
    response.headers.update(headers)
    return response


def _without_body(response: Response) -> Response:
    bare = Response(status_code=response.status_code)
    bare.raw_headers = list(response.raw_headers)
    return bare
