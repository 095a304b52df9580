"""Requests made up from the OpenAPI document, good ones and bad ones, find nothing."""

from __future__ import annotations

import re
from uuid import uuid4

import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis import Case
from serving import Hall

from pgq_server import openapi, replays
from pgq_server.route import EVENTS
from pgq_server.routes import TABLE

EXAMPLES = 40
"""Requests for each route; hundreds were tried when routes were written."""

KEY = re.compile("[!-~]{1,255}")

document = openapi.document(TABLE)
for route in TABLE:
    if route.media == EVENTS and route.path in document["paths"]:
        del document["paths"][route.path]
schema = schemathesis.openapi.from_dict(document)


@schema.parametrize()
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_no_request_is_answered_otherwise_than_documented(case: Case, hall: Hall) -> None:
    if KEY.fullmatch(str((case.headers or {}).get(replays.HEADER, ""))):
        case.headers[replays.HEADER] = str(uuid4())  # one that was used is refused, rightly
    if isinstance(case.body, dict) and case.body.get("wait") in range(1, 61):
        case.body["wait"] = 0
    case.call_and_validate(base_url=hall.service.url)
