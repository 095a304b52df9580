"""Operations: one verb on many jobs, with progress."""

from __future__ import annotations

import json
from typing import Any

from pgq.errors import BadArgument
from pgq_server.access import Identity
from pgq_server.api.jobs import CAP, TOTAL, filters_of, total
from pgq_server.call import Answer, Call
from pgq_server.gateway import verb
from pgq_server.models.base import Empty, columns_of
from pgq_server.models.operations import (
    NewOperation,
    Operation,
    OperationFilter,
    OperationPath,
    OperationQuery,
    Operations,
    Preview,
)
from pgq_server.problems import Refusal, located
from pgq_server.route import API, Route

COLUMNS = columns_of(Operation)


async def start(call: Call[None, None, NewOperation]) -> Answer:
    """Start an operation, or tell how many jobs it would be for."""
    body = call.body
    filters = selected(body.filter or OperationFilter.model_construct(), call.identity)
    if body.preview:
        return Answer(await _preview(call, filters), 200)
    return await started(
        call,
        p_verb=body.verb,
        p_ids=body.ids,
        **filters,
        p_payload=None if body.payload is None else body.payload.text,
        p_limit=body.limit,
        p_rate=body.rate,
    )


async def list_operations(call: Call[None, OperationQuery]) -> Operations:
    """Operations, the newest first."""
    rows = await call.db.rows("list_operations", COLUMNS, p_limit=call.query.limit)
    operations = [Operation(**row) for row in rows]
    return Operations(items=[each for each in operations if _is_reached(call, each)])


async def show(call: Call[OperationPath]) -> Operation:
    """How far an operation has come."""
    return await _reached(call)


async def stop(call: Call[OperationPath, None, Empty]) -> Operation:
    """Let an operation go no further."""
    await _reached(call)
    _, rows = await call.db.batch(
        verb("stop_operation", p_id=call.path.id),
        verb("get_operation", COLUMNS, p_id=call.path.id),
    )
    return Operation(**rows[0])


async def _reached(call: Call[OperationPath, Any, Any]) -> Operation:
    row = await call.db.row("get_operation", COLUMNS, p_id=call.path.id)
    operation = Operation(**row)
    if not _is_reached(call, operation):
        raise Refusal("not-found", f"There is no operation {call.path.id}.")
    return operation


def _is_reached(call: Call[Any, Any, Any], operation: Operation) -> bool:
    """Whether it was kept to queues of who asks when it was started."""
    if call.identity.queues is None:
        return True
    queues = json.loads(operation.filter.text).get("queues")
    return queues is not None and all(call.identity.reaches(queue) for queue in queues)


def selected(filter_: OperationFilter, identity: Identity) -> dict[str, Any]:
    """The arguments that tell which jobs."""
    return {**filters_of(filter_, identity), "p_fingerprint": filter_.fingerprint}


async def started(call: Call[Any, Any, Any], **arguments: Any) -> Answer:
    """An operation that begins: 202, and where its progress is told."""
    by = call.identity.name
    try:
        operation = await call.db.value("start_operation", p_by=by, **arguments)
    except BadArgument as error:
        raise located(error, "body") from None
    row = await call.db.row("get_operation", COLUMNS, p_id=operation)
    headers = {"Location": call.url(f"{API}/operations/{operation}")}
    return Answer(Operation(**row), 202, headers)


async def _preview(call: Call[None, None, NewOperation], filters: dict[str, Any]) -> Preview:
    body = call.body
    row = await call.db.row(
        "count_jobs", TOTAL, **filters, p_ids=body.ids, p_verb=body.verb, p_cap=CAP
    )
    return Preview(preview=total(row))


ROUTES = (
    Route(
        "POST",
        f"{API}/operations",
        start,
        summary="Do something to many jobs",
        description="Jobs are named by `ids` or by `filter`. It is worked off by whoever does "
        "upkeep. With `preview` nothing is started, and the answer is a count.",
        tag="operations",
        scopes=("operate",),
        reach="handler",
        body=NewOperation,
        answer=Operation,
        status=202,
        also=((200, Preview),),
        idempotent=True,
    ),
    Route(
        "GET",
        f"{API}/operations",
        list_operations,
        summary="Operations, the newest first",
        tag="operations",
        scopes=("view",),
        reach="handler",
        query=OperationQuery,
        answer=Operations,
    ),
    Route(
        "GET",
        f"{API}/operations/{{id}}",
        show,
        summary="How far an operation has come",
        tag="operations",
        scopes=("view",),
        reach="handler",
        path_model=OperationPath,
        answer=Operation,
        errors=("not-found",),
    ),
    Route(
        "POST",
        f"{API}/operations/{{id}}/stop",
        stop,
        summary="Let an operation go no further",
        tag="operations",
        scopes=("operate",),
        reach="handler",
        path_model=OperationPath,
        body=Empty,
        answer=Operation,
        errors=("not-found",),
        idempotent=True,
    ),
)
