"""The table of routes, which is the API: router, authorisation, OpenAPI, docs and tests read it.

It joins the tables of the modules: each has its own `ROUTES`; add a new module here.
"""

from __future__ import annotations

from pgq_server import seeds
from pgq_server.api import (
    dead,
    docs,
    jobs,
    leases,
    metrics,
    operations,
    queues,
    service,
    streams,
    workers,
)
from pgq_server.route import Route
from pgq_server.ui import table as dashboard

MODULES = (
    jobs,
    queues,
    workers,
    dead,
    operations,
    leases,
    streams,
    service,
    metrics,
    docs,
    seeds,
    dashboard,
)
TABLE: tuple[Route, ...] = tuple(route for module in MODULES for route in module.ROUTES)
