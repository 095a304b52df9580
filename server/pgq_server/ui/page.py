"""Pages as rows of the table of routes, and as answers."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from pgq_server.access import COOKIE, Scope
from pgq_server.call import Call
from pgq_server.problems import KINDS, Refusal
from pgq_server.route import HTML, Method, Reach, Route
from pgq_server.ui.rendering import Addresses, render

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "font-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cache-Control": "no-store",
    "Vary": "HX-Request, Cookie",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


def page_route(
    method: Method,
    path: str,
    handler: Callable[[Call[Any, Any, Any]], Awaitable[Response]],
    summary: str,
    *,
    reach: Reach,
    scopes: tuple[Scope, ...] = ("view",),
    query: type[BaseModel] | None = None,
    path_model: type[BaseModel] | None = None,
    body: type[BaseModel] | None = None,
) -> Route:
    """A row of the table that answers HTML, also when it refuses. A body comes as a form."""
    return Route(
        method,
        path,
        handler,
        summary=summary,
        tag="dashboard",
        scopes=scopes,
        reach=reach,
        query=query,
        path_model=path_model,
        body=body,
        form=body is not None,
        media=HTML,
        refusal=refused,
    )


def is_fragment(request: Request) -> bool:
    """Whether htmx asks, which puts the answer into a page that is there already."""
    return request.headers.get("hx-request") == "true"


def show(
    call: Call[Any, Any, Any],
    template: str,
    view: Any,
    *,
    page: str | None = None,
    live: str | None = None,
    stream: str | None = "/api/v1/events",
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    **values: Any,
) -> Response:
    """A page, or its main part for htmx.

    `live` is the hx-trigger on which the page is fetched again, `stream` where events come from.
    """
    addresses = Addresses(call.services.settings.prefix)
    fragment = is_fragment(call.request)
    content = render(
        template,
        addresses,
        fragment=fragment,
        values={
            "view": view,
            "page": page,
            "live": live,
            "here": addresses.url(here(call.request)),
            "stream": addresses.url(stream) if live and stream else None,
            "signed_in": call.identity.token is not None and COOKIE in call.request.cookies,
            "may": call.identity.may,
            **values,
        },
    )
    return HTMLResponse(content, status, headers={**HEADERS, **(headers or {})})


def done(call: Call[Any, Any, Any], words: str, to: str) -> Response:
    """A change was made: htmx closes the dialog and says so; a plain form goes on to `to`."""
    addresses = Addresses(call.services.settings.prefix)
    if not is_fragment(call.request):
        return RedirectResponse(addresses.url(to), 303, headers=HEADERS)
    events = json.dumps({"pgq:close": {}, "pgq:done": {"words": words}})
    return Response(status_code=204, headers={**HEADERS, "HX-Trigger": events})


def go(call: Call[Any, Any, Any], to: str) -> Response:
    """Leads to another page."""
    address = Addresses(call.services.settings.prefix).url(to)
    if is_fragment(call.request):
        return Response(status_code=204, headers={**HEADERS, "HX-Redirect": address})
    return RedirectResponse(address, 303, headers=HEADERS)


def refused(request: Request, refusal: Refusal) -> Response:
    """A problem as a page; in a dialog as a message; who is not known is led to the login page."""
    addresses = Addresses(request.app.state.services.settings.prefix)
    fragment = is_fragment(request)
    headers = {**HEADERS, **refusal.headers}
    headers.pop("WWW-Authenticate", None)
    if refusal.name == "unauthenticated":
        to = addresses.url("/ui/login", next=here(request) if request.method == "GET" else None)
        if fragment:
            return Response(status_code=204, headers={**headers, "HX-Refresh": "true"})
        return RedirectResponse(to, 303, headers=headers)
    if fragment and request.headers.get("hx-target") == "main#main":
        return Response(status_code=refusal.status, headers={**headers, "HX-Reswap": "none"})
    template = "problem.html"
    if fragment:
        template = "problem_dialog.html" if request.method == "GET" else "problem_words.html"
    content = render(
        template,
        addresses,
        fragment=fragment,
        values={"refusal": refusal, "title": KINDS[refusal.name].title},
    )
    if fragment and request.headers.get("hx-target") == "div#faces":
        return HTMLResponse(content, headers=headers)  # while one types, much is not right yet
    if fragment and request.method != "GET":
        headers |= {"HX-Retarget": "#dialog-problem", "HX-Reswap": "innerHTML"}
    return HTMLResponse(content, refusal.status, headers=headers)


def here(request: Request) -> str:
    """The address of a request without the prefix."""
    query = request.scope["query_string"].decode("ascii", "replace")
    return f"{request.scope['path']}{'?' if query else ''}{query}"
