"""The documents made of the table of routes."""

from __future__ import annotations

import json
import re
from pathlib import Path

from serving import Hall

import pgq
from pgq_server import openapi, reference
from pgq_server.problems import KINDS
from pgq_server.route import API
from pgq_server.routes import TABLE

DOCS = Path(pgq.__file__).parent.parent / "docs"
RERUN = "run `make reference`"


def test_the_reference_is_that_of_the_code() -> None:
    assert (DOCS / "http.md").read_text() == reference.http_md(), RERUN
    assert (DOCS / "openapi.json").read_text() == reference.openapi_json(), RERUN


def test_a_server_shows_the_same_document(hall: Hall) -> None:
    answer = hall.api.get("/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == json.loads((DOCS / "openapi.json").read_text())


def test_every_route_of_the_api_is_in_the_document() -> None:
    document = openapi.document(TABLE)
    for route in TABLE:
        if route.path.startswith(API):
            assert route.method.lower() in document["paths"][route.path], route


def test_every_reference_leads_somewhere() -> None:
    text = reference.openapi_json()
    schemas = openapi.document(TABLE)["components"]["schemas"]
    for name in re.findall(r'"#/components/schemas/([^"]+)"', text):
        assert name in schemas


def test_operations_have_names_of_their_own() -> None:
    ids = [openapi.operation_id(route) for route in openapi.listed(TABLE)]
    assert len(ids) == len(set(ids))


def test_problems_are_known_by_name() -> None:
    for route in TABLE:
        assert set(route.problems()) <= set(KINDS)


def test_the_page_of_the_api_needs_no_other_server(hall: Hall) -> None:
    page = hall.api.get("/docs")
    assert "script-src 'self'" in page.headers["content-security-policy"]
    found = re.findall(r'(?:src|href|data-url)="([^"]+)"', page.text)
    assert len(found) >= 4
    for path in found:
        assert path.startswith("/")
        assert hall.api.get(path).status_code == 200, path
