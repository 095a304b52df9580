"""The routes of the dashboard."""

from __future__ import annotations

from pgq_server.ui.pages import (
    assets,
    dead,
    job,
    job_actions,
    jobs,
    login,
    new_job,
    operations,
    overview,
    queues,
    suggestions,
    workers,
)

ROUTES = tuple(
    route
    for page in (
        login,
        overview,
        suggestions,
        jobs,
        new_job,
        job,
        job_actions,
        queues,
        workers,
        dead,
        operations,
        assets,
    )
    for route in page.ROUTES
)
