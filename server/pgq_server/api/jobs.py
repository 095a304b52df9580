"""Jobs."""

from __future__ import annotations

from pgq_server.call import Call
from pgq_server.models.base import JobPath, columns_of
from pgq_server.models.jobs import JobDetail
from pgq_server.routes import API, Route


async def show(call: Call[JobPath]) -> JobDetail:
    """A job."""
    row = await call.db.row("get_job", columns_of(JobDetail), p_id=call.path.id)
    return JobDetail(**row)


ROUTES = (
    Route(
        "GET",
        f"{API}/jobs/{{id}}",
        show,
        summary="A job",
        tag="jobs",
        scopes=("view", "enqueue"),
        reach="job",
        path_model=JobPath,
        answer=JobDetail,
        errors=("not-found",),
        etag=True,
    ),
)
