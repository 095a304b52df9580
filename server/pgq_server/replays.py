"""`Idempotency-Key`: a request that is sent again gets the first answer again, and does nothing.

What the request does and its answer are remembered in one transaction. A request that was refused
left nothing behind, so nothing is remembered of it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from pgq.errors import Busy
from pgq_server.gateway import Database, Gateway
from pgq_server.problems import RETRY_AFTER, Refusal, invalid

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
_KEY = re.compile(r"[!-~]{1,255}")
_KEPT = ("content-type", "location")


def key_of(request: Request) -> str | None:
    """The key of a request, if it has one. Raises `Refusal`."""
    key = request.headers.get(HEADER)
    if key is not None and not _KEY.fullmatch(key):
        raise invalid(f"header.{HEADER}", "expected 1 to 255 visible ASCII characters")
    return key


async def once(
    request: Request,
    content: bytes,
    key: str,
    owner: str,
    db: Database,
    handled: Callable[[Gateway], Awaitable[Response]],
) -> Response:
    """The answer to a request that is `handled` at most once for each key of an owner."""
    fingerprint = _fingerprint(request, content)

    async def work(transaction: Gateway) -> Response:
        try:
            remembered = await transaction.rows(
                "recall_request",
                ("status", "headers::text", "body"),
                p_owner=owner,
                p_key=key,
                p_fingerprint=fingerprint,
            )
        except Busy:
            raise Refusal(
                "in-progress",
                "The request with this idempotency key is being worked on.",
                hint="Send it again to get its answer.",
                headers={"Retry-After": RETRY_AFTER},
            ) from None
        if remembered:
            first = remembered[0]
            headers = {**json.loads(first["headers"]), REPLAYED: "true"}
            return Response(first["body"], status_code=first["status"], headers=headers)
        response = await handled(transaction)
        kept = {name: response.headers[name] for name in _KEPT if name in response.headers}
        await transaction.value(
            "remember_request",
            p_owner=owner,
            p_key=key,
            p_fingerprint=fingerprint,
            p_status=response.status_code,
            p_headers=json.dumps(kept),
            p_body=bytes(response.body).decode(),
        )
        return response

    return await db.transact(work)


def _fingerprint(request: Request, content: bytes) -> bytes:
    query = request.scope["query_string"]
    parts = (request.method.encode(), request.scope["path"].encode(), query, content)
    return hashlib.sha256(b"\n".join(parts)).digest()
