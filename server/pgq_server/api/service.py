"""The service itself: is it up, and can it work?"""

from __future__ import annotations

from pgq import schema
from pgq.errors import SchemaMismatch
from pgq_server.call import Call
from pgq_server.models.base import columns_of
from pgq_server.models.service import (
    Count,
    Health,
    Readiness,
    Sample,
    SampleQuery,
    Samples,
    Stats,
)
from pgq_server.route import API, PUBLIC, Route


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


async def stats(call: Call) -> Stats:
    """What was counted since the installation."""
    rows = await call.db.rows("stats", columns_of(Count))
    reached = [row for row in rows if call.identity.reaches(row["queue"])]
    return Stats(items=[Count(**row) for row in reached])


async def samples(call: Call[None, SampleQuery]) -> Samples:
    """What was counted, minute by minute."""
    rows = await call.db.rows(
        "list_samples",
        columns_of(Sample),
        p_after=call.query.after,
        p_limit=call.query.limit,
    )
    return Samples(items=[Sample(**row) for row in rows])


ROUTES = (
    Route(
        "GET",
        f"{API}/stats",
        stats,
        summary="What was counted since the installation",
        description="It never counts jobs: what stands where is the difference of the counts "
        "`transition` whose labels end in `>state` less those that begin with `state>`.",
        tag="service",
        scopes=("view",),
        reach="handler",
        answer=Stats,
    ),
    Route(
        "GET",
        f"{API}/samples",
        samples,
        summary="What was counted, minute by minute, for two days",
        tag="service",
        scopes=("view",),
        reach="service",
        query=SampleQuery,
        answer=Samples,
    ),
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
