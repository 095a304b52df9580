"""`/ui/login`: a token becomes a cookie of this tab's browser, until it is closed."""

from __future__ import annotations

import re
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import Field
from starlette.requests import HTTPConnection
from starlette.responses import RedirectResponse, Response

from pgq.hosts import is_loopback
from pgq_server.access import COOKIE, Identity, check_origin
from pgq_server.call import Call
from pgq_server.models.base import Request, Text
from pgq_server.problems import Refusal
from pgq_server.route import HTML, PUBLIC, Route
from pgq_server.ui import forms
from pgq_server.ui.page import HEADERS, page_route, refused, show
from pgq_server.ui.rendering import Addresses

_LOCAL = re.compile(r"/ui(?:[/?][^\\\s]*)?")
_BROWSER = Identity(name="browser", scopes=frozenset(), is_ambient=True)


class Query(forms.Fields):
    """Where to go on."""

    next: Annotated[Text, Field(max_length=4000)] = "/ui"


class Login(Request):
    """The form."""

    token: Annotated[Text, Field(max_length=200)] = ""
    next: Annotated[Text, Field(max_length=4000)] = "/ui"


async def ask(call: Call[None, Query]) -> Response:
    """The form."""
    return show(call, "login.html", {"next": call.query.next, "problem": None})


async def enter(call: Call[None, None, Login]) -> Response:
    """Checks the token, and hands it to the browser where no script can read it."""
    check_origin(call.request, _BROWSER)
    if _is_plain(call.request):
        raise Refusal(
            "forbidden",
            "The login needs HTTPS: this page came over plain HTTP, and browsers do not keep its "
            "cookie then.",
            hint="Open it by https://, or on the server's own machine, for instance through "
            "`ssh -L 8080:127.0.0.1:8080 HOST`.",
        )
    try:
        await call.services.access.identity_of(call.body.token.strip())
    except Refusal as refusal:
        if refusal.name != "unauthenticated":
            raise
        view = {"next": call.body.next, "problem": refusal.detail}
        return show(call, "login.html", view, status=401)
    to = call.body.next if _LOCAL.fullmatch(call.body.next) else "/ui"
    answer = RedirectResponse(_address(call, to), 303, headers=HEADERS)
    answer.set_cookie(
        COOKIE, call.body.token.strip(), secure=True, httponly=True, samesite="lax", path="/"
    )
    return answer


async def leave(call: Call) -> Response:
    """Forgets the token."""
    answer = RedirectResponse(_address(call, "/ui/login"), 303, headers=HEADERS)
    answer.delete_cookie(COOKIE, secure=True, httponly=True, samesite="lax", path="/")
    return answer


async def root(call: Call) -> Response:
    """The dashboard is what people come for."""
    return RedirectResponse(_address(call, "/ui"), 307, headers=HEADERS)


def _is_plain(request: HTTPConnection) -> bool:
    """Whether the browser itself says that it came over plain HTTP, and from another machine."""
    origin = urlsplit(request.headers.get("origin", ""))
    return origin.scheme == "http" and not is_loopback(origin.hostname or "")


def _address(call: Call[Any, Any, Any], path: str) -> str:
    return Addresses(call.services.settings.prefix).url(path)


ROUTES = (
    Route(
        "GET",
        "/",
        root,
        summary="Leads to the dashboard",
        tag="dashboard",
        scopes=PUBLIC,
        reach="open",
        status=307,
        media=HTML,
    ),
    Route(
        "GET",
        "/ui/login",
        ask,
        summary="The login form",
        tag="dashboard",
        scopes=PUBLIC,
        reach="open",
        query=Query,
        media=HTML,
        refusal=refused,
    ),
    Route(
        "POST",
        "/ui/login",
        enter,
        summary="Log in",
        tag="dashboard",
        scopes=PUBLIC,
        reach="open",
        body=Login,
        form=True,
        status=303,
        media=HTML,
        refusal=refused,
    ),
    page_route(
        "POST",
        "/ui/logout",
        leave,
        "Log out",
        reach="open",
        scopes=("view", "enqueue", "work"),
    ),
)
