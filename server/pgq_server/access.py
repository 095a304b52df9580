"""Who asks, and what they may do.

On loopback, unless tokens are required, whoever reaches the server may do everything, provided that
the request was not passed on by a proxy and names a loopback host. Everyone else shows a token, in
`Authorization: Bearer` or in the dashboard's cookie.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from pgq.hosts import is_loopback
from pgq_server.gateway import Gateway
from pgq_server.problems import Refusal
from pgq_server.settings import Settings

Scope = Literal["enqueue", "work", "view", "operate", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)

COOKIE = "__Host-pgq"
"""Holds the dashboard's token."""
TRUSTED_FOR = 0.8
"""Seconds for which a token that was valid is not asked about again."""
KEPT = 10_000
"""Most tokens that are remembered."""

_TOKEN = re.compile(r"pgq_[A-Za-z0-9_-]{43}")
_AUTHORITY = re.compile(r"(?P<name>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?", re.ASCII)
_FORWARDED = {b"forwarded", b"via", b"x-forwarded-for", b"x-forwarded-host", b"x-real-ip"}
_COLUMNS = ("id", "name", "scopes", "queues")


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who a request comes from."""

    name: str
    scopes: frozenset[str]
    queues: tuple[str, ...] | None = None
    """The only ones that they see and touch; None: all."""
    token: int | None = None
    """Its id."""
    is_ambient: bool = False
    """Whether a browser adds what identifies them by itself, on behalf of any site."""

    def may(self, scopes: Sequence[str]) -> bool:
        """Whether they have one of the scopes. `admin` is all, `operate` includes `view`."""
        held = self.scopes | {"view"} if "operate" in self.scopes else self.scopes
        return "admin" in held or not held.isdisjoint(scopes)

    def reaches(self, queue: str) -> bool:
        """Whether they may see and touch jobs of this queue."""
        return self.queues is None or queue in self.queues

    @property
    def only(self) -> list[str] | None:
        """The queues, as `p_queues` of verbs that list."""
        return None if self.queues is None else list(self.queues)

    @property
    def owner(self) -> str:
        """Whose idempotency keys are whose."""
        return "local" if self.token is None else f"token {self.token}"


LOCAL = Identity(name="local", scopes=frozenset(("admin",)), is_ambient=True)
NOBODY = Identity(name="nobody", scopes=frozenset())


@dataclass(slots=True)
class _Known:
    identity: Identity | None
    asked_at: float = field(default_factory=time.monotonic)

    @property
    def is_fresh(self) -> bool:
        return time.monotonic() - self.asked_at < TRUSTED_FOR


class Access:
    """Tells who asks."""

    def __init__(self, settings: Settings, db: Gateway) -> None:
        self._settings = settings
        self._db = db
        self._known: dict[bytes, _Known] = {}

    def check_host(self, request: HTTPConnection) -> None:
        """Refuse a Host header that is not among the allowed ones."""
        allowed = self._settings.allowed_hosts
        if allowed and host_of(request) not in allowed:
            raise Refusal("forbidden", "This server does not answer to this Host header.")

    async def identify(self, request: HTTPConnection) -> Identity:
        """Who asks. Raises `Refusal` `unauthenticated`."""
        header = request.headers.get("authorization")
        if header is not None:
            kind, _, secret = header.partition(" ")
            if kind.lower() != "bearer":
                raise _unauthenticated("Authorization is not `Bearer` with a token.")
            return await self.identity_of(secret.strip())
        if secret := request.cookies.get(COOKIE, ""):
            found = await self.identity_of(secret)
            return Identity(
                name=found.name,
                scopes=found.scopes,
                queues=found.queues,
                token=found.token,
                is_ambient=True,
            )
        if self._settings.is_open and _is_direct(request):
            return LOCAL
        if self._settings.is_open:
            raise _unauthenticated(
                "No token was sent; without one, a request comes straight from this machine and "
                "names it in Host as localhost or 127.0.0.1."
            )
        raise _unauthenticated("No token was sent.")

    async def identity_of(self, secret: str) -> Identity:
        """Whose token this is. Raises `Refusal` `unauthenticated`."""
        if not _TOKEN.fullmatch(secret):
            raise _unauthenticated("The token is malformed.")
        digest = hashlib.sha256(secret.encode()).digest()
        known = self._known.get(digest)
        if known is None or not known.is_fresh:
            known = await self._ask(digest)
        if known.identity is None:
            raise _unauthenticated("The token is unknown, expired or revoked.")
        return known.identity

    async def _ask(self, digest: bytes) -> _Known:
        rows = await self._db.rows("authenticate", _COLUMNS, p_hash=digest)
        if not rows:
            self._known.pop(digest, None)
            return _Known(None)
        row = rows[0]
        identity = Identity(
            name=row["name"],
            scopes=frozenset(row["scopes"]),
            queues=None if row["queues"] is None else tuple(row["queues"]),
            token=row["id"],
        )
        if len(self._known) >= KEPT:
            self._known.clear()
        known = _Known(identity)
        self._known[digest] = known
        return known


def check_origin(request: HTTPConnection, identity: Identity) -> None:
    """Refuse a change that a page of another site has its reader's browser make."""
    if not identity.is_ambient:
        return
    site = request.headers.get("sec-fetch-site")
    if site in ("same-origin", "none"):
        return
    origin = request.headers.get("origin")
    if site is None and (origin is None or urlsplit(origin).netloc == request.headers.get("host")):
        return
    raise Refusal("forbidden", "A page of another site may not change anything here.")


def host_of(request: HTTPConnection) -> str | None:
    """The name in the Host header, in lower case; None when it is malformed or there are two."""
    values = request.headers.getlist("host")
    match = _AUTHORITY.fullmatch(values[0]) if len(values) == 1 else None
    return match["name"].lower() if match else None


def _is_direct(request: HTTPConnection) -> bool:
    host = host_of(request)
    return (
        host is not None
        and is_loopback(host)
        and request.client is not None
        and is_loopback(request.client.host)
        and _FORWARDED.isdisjoint(name for name, _ in request.scope["headers"])
    )


def _unauthenticated(detail: str) -> Refusal:
    return Refusal(
        "unauthenticated",
        detail,
        hint="Send `Authorization: Bearer pgq_…`; `pgq token create` makes a token.",
        headers={"WWW-Authenticate": 'Bearer realm="pgq"'},
    )
