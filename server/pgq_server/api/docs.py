"""`/openapi.json` and `/docs`: what the API is like, for programs and for people."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from html import escape

from starlette.responses import Response

from pgq_server import openapi
from pgq_server.call import Call
from pgq_server.route import HTML, JSON, PUBLIC, Route
from pgq_server.ui.rendering import fingerprint

SECURITY = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; connect-src 'self'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}
"""Swagger UI sets styles on elements."""
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>pgq: the HTTP API</title>
<link rel="icon" href="{static}/icon.svg" type="image/svg+xml">
<script src="{static}/js/theme.js"></script>
<link rel="stylesheet" href="{static}/vendor/swagger-ui/swagger-ui.css">
<link rel="stylesheet" href="{static}/css/docs.css">
<script src="{static}/vendor/swagger-ui/swagger-ui-bundle.js" defer></script>
<script src="{static}/js/docs.js" defer></script>
</head>
<body><main id="docs" data-url="{document}"></main></body>
</html>
"""


@cache
def _document(table: Sequence[Route], prefix: str) -> bytes:
    return json.dumps(openapi.document(table, prefix)).encode()


async def document(call: Call) -> Response:
    """The OpenAPI document."""
    table = call.request.app.state.table
    return Response(_document(table, call.services.settings.prefix), media_type=JSON)


async def page(call: Call) -> Response:
    """Swagger UI, from the server's own files."""
    content = PAGE.format(
        static=escape(call.url(f"/ui/static/{fingerprint()}")),
        document=escape(call.url("/openapi.json")),
    )
    return Response(content, media_type=HTML, headers=SECURITY)


ROUTES = (
    Route(
        "GET",
        "/openapi.json",
        document,
        summary="This document",
        tag="service",
        scopes=PUBLIC,
        reach="open",
        media=JSON,
        etag=True,
    ),
    Route(
        "GET",
        "/docs",
        page,
        summary="Swagger UI",
        tag="docs",
        scopes=PUBLIC,
        reach="open",
        media=HTML,
    ),
)
