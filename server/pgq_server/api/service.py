"""The service itself: is it up, and can it work?"""

from __future__ import annotations

from pgq import schema
from pgq.errors import SchemaMismatch
from pgq_server.call import Call
from pgq_server.models.service import Health, Readiness
from pgq_server.routes import PUBLIC, Route


async def healthz(call: Call) -> Health:
    """The process answers; nothing else is looked at."""
    return Health()


async def readyz(call: Call) -> Readiness:
    """Asks the database for the version of its schema."""
    version = await call.db.value("version")
    if version < schema.VERSION:
        raise SchemaMismatch(
            f"the schema is version {version}, older than version {schema.VERSION} of this program",
            hint="Run `pgq migrate`.",
        )
    return Readiness(schema_version=version)


ROUTES = (
    Route(
        "GET",
        "/healthz",
        healthz,
        summary="Is the process up?",
        tag="service",
        scopes=PUBLIC,
        reach="open",
        answer=Health,
    ),
    Route(
        "GET",
        "/readyz",
        readyz,
        summary="Is the database there, with a schema that fits?",
        tag="service",
        scopes=PUBLIC,
        reach="open",
        answer=Readiness,
        errors=("unavailable", "schema-mismatch"),
    ),
)
