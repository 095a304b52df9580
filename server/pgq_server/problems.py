"""Errors as RFC 9457 problems: each has a name, and everything that goes wrong becomes one."""

from __future__ import annotations

import json
import logging
import re
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import psycopg
from pydantic import BaseModel
from starlette.responses import Response

from pgq import database, errors

logger = logging.getLogger("pgq.server")

MEDIA_TYPE = "application/problem+json"
PREFIX = "urn:pgq:problem:"

Name = Literal[
    "invalid-request",
    "malformed",
    "unauthenticated",
    "forbidden",
    "not-found",
    "method-not-allowed",
    "conflict",
    "busy",
    "lease-lost",
    "worker-expired",
    "in-progress",
    "key-reused",
    "too-large",
    "unsupported-media-type",
    "too-many-requests",
    "unavailable",
    "schema-mismatch",
    "internal",
]


@dataclass(frozen=True, slots=True)
class Kind:
    """A type of problem."""

    status: int
    title: str


KINDS: Mapping[Name, Kind] = {
    "malformed": Kind(400, "The request could not be read"),
    "unauthenticated": Kind(401, "A valid token is needed"),
    "forbidden": Kind(403, "Not allowed"),
    "not-found": Kind(404, "There is no such thing"),
    "method-not-allowed": Kind(405, "Not with this method"),
    "conflict": Kind(409, "Not possible in the present state"),
    "busy": Kind(409, "Somebody else is moving this job"),
    "lease-lost": Kind(409, "The lease is lost"),
    "worker-expired": Kind(409, "The worker has expired"),
    "in-progress": Kind(409, "The same request is being worked on"),
    "too-large": Kind(413, "Too large"),
    "unsupported-media-type": Kind(415, "Not in this format"),
    "invalid-request": Kind(422, "A value makes no sense"),
    "key-reused": Kind(422, "The idempotency key was used for another request"),
    "too-many-requests": Kind(429, "Too many at once"),
    "internal": Kind(500, "Something is wrong with the server"),
    "unavailable": Kind(503, "The database cannot be reached"),
    "schema-mismatch": Kind(503, "The database has another version of the schema"),
}
RETRY_AFTER = "1"
"""Seconds that whoever meets `unavailable` or `busy` does well to wait."""


class Invalid(BaseModel):
    """A value that was refused, and where it stands: `body.priority`, `query.limit`."""

    location: str
    message: str


class Problem(BaseModel):
    """An error, as in RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    hint: str | None = None
    errors: list[Invalid] | None = None


class Refusal(Exception):
    """Raised anywhere below a route: the request ends as this problem."""

    def __init__(
        self,
        name: Name,
        detail: str,
        *,
        hint: str | None = None,
        errors: Sequence[Invalid] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.name: Name = name
        self.detail = detail
        self.hint = hint
        self.errors = errors
        self.headers = headers or {}

    @property
    def status(self) -> int:
        """The HTTP status."""
        return KINDS[self.name].status


def invalid(location: str, message: str) -> Refusal:
    """One value makes no sense."""
    return refused(Invalid(location=location, message=message))


def refused(*found: Invalid) -> Refusal:
    """Values make no sense; the first one is told in the problem's detail too."""
    detail = f"{found[0].location}: {found[0].message}"
    hint = "Correct it and send it again; /docs tells what each route takes."
    return Refusal("invalid-request", detail, hint=hint, errors=found)


def located(error: errors.BadArgument, where: str) -> Refusal:
    """The refusal of a verb, with the place of the value in the body."""
    said = re.sub(r"^item \d+: ", "", error.message)
    field = re.fullmatch(r"bad (\w+)", said)
    location = f"{where}.{field[1].removeprefix('p_')}" if field else where
    message = error.detail or said
    return Refusal(
        "invalid-request",
        f"{location}: {message}",
        hint=error.hint,
        errors=[Invalid(location=location, message=message)],
    )


def response(refusal: Refusal) -> Response:
    """The problem as a response."""
    problem = Problem(
        type=f"{PREFIX}{refusal.name}",
        title=KINDS[refusal.name].title,
        status=refusal.status,
        detail=refusal.detail,
        hint=refusal.hint or None,
        errors=list(refusal.errors) or None,
    )
    content = problem.model_dump(mode="json", exclude_none=True)
    return Response(
        json.dumps(content),
        status_code=refusal.status,
        media_type=MEDIA_TYPE,
        headers={"Cache-Control": "no-store", **refusal.headers},
    )


_NAMES: Mapping[type[errors.PgqError], Name] = {
    errors.LeaseLost: "lease-lost",
    errors.NoSuchJob: "not-found",
    errors.NoSuchQueue: "not-found",
    errors.IllegalTransition: "conflict",
    errors.BadArgument: "invalid-request",
    errors.SchemaMismatch: "schema-mismatch",
    errors.Busy: "busy",
    errors.WorkerExpired: "worker-expired",
    errors.NoSuchRecord: "not-found",
    errors.KeyReused: "key-reused",
}


def refusal_of(error: Exception) -> Refusal:
    """What the client is told of an error. Those that nobody foresaw are logged, without values."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, psycopg.Error):
        error = database.translation(error) or error
    if isinstance(error, errors.Unavailable):
        logger.warning("the database cannot be reached: %s", error)
        return Refusal(
            "unavailable",
            "The database cannot be reached, or is too busy.",
            headers={"Retry-After": RETRY_AFTER},
        )
    if isinstance(error, errors.DatabaseError):
        return _of_verb(error)
    if isinstance(error, psycopg.errors.QueryCanceled):
        return Refusal(
            "unavailable",
            "The database took too long.",
            headers={"Retry-After": RETRY_AFTER},
        )
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        logger.warning("the server's role in the database lacks a privilege")
        return Refusal("forbidden", "The server's own role in the database may not do this.")
    if isinstance(error, psycopg.DataError):
        return Refusal("invalid-request", "The database does not take a value of this request.")
    logger.error("%s\n%s", type(error).__name__, _frames(error))
    return Refusal("internal", "The server's log tells what happened.")


def _of_verb(error: errors.DatabaseError) -> Refusal:
    name: Name = next(
        (name for kind, name in _NAMES.items() if isinstance(error, kind)), "internal"
    )
    headers = {"Retry-After": RETRY_AFTER} if name in ("busy", "schema-mismatch") else {}
    detail = ": ".join(part for part in (error.message, error.detail) if part)
    return Refusal(name, detail, hint=error.hint or None, headers=headers)


def _frames(error: BaseException) -> str:
    """Where it happened: never what was said, which may quote a payload or a password."""
    return "".join(traceback.format_tb(error.__traceback__)).rstrip()
