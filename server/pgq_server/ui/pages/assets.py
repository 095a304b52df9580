"""`/ui/static/…`: style sheets and scripts, kept by browsers until they change."""

from __future__ import annotations

import mimetypes
from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import Field
from starlette.responses import Response

from pgq_server.call import Call
from pgq_server.models.base import Request
from pgq_server.problems import Refusal
from pgq_server.route import PUBLIC, Route
from pgq_server.ui.page import HEADERS
from pgq_server.ui.rendering import STATIC, fingerprint

_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


class AssetPath(Request):
    """A file, and the fingerprint of all of them."""

    version: Annotated[str, Field(max_length=40)]
    path: Annotated[str, Field(max_length=200)]


@cache
def _files() -> dict[str, tuple[bytes, str]]:
    return {
        path.relative_to(STATIC).as_posix(): (path.read_bytes(), _type(path))
        for path in STATIC.rglob("*")
        if path.is_file()
    }


def _type(path: Path) -> str:
    return _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "text/plain"


async def asset(call: Call[AssetPath]) -> Response:
    """One file, from memory."""
    found = _files().get(call.path.path)
    if found is None:
        raise Refusal("not-found", "There is no such file.")
    is_current = call.path.version == fingerprint()
    kept = "public, max-age=31536000, immutable" if is_current else "no-cache"
    content, media = found
    return Response(content, media_type=media, headers={**HEADERS, "Cache-Control": kept})


ROUTES = (
    Route(
        "GET",
        "/ui/static/{version}/{path:path}",
        asset,
        summary="A style sheet or script",
        tag="dashboard",
        scopes=PUBLIC,
        reach="open",
        path_model=AssetPath,
        media="application/octet-stream",
        errors=("not-found",),
    ),
)
