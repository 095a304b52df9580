"""Each page of the dashboard and each answer of the API that reads, on a queue that is full."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Literal, get_args, get_origin
from urllib.parse import quote

from pgq.errors import PgqError
from pgq_bench import history
from pgq_bench.bench import Bench
from pgq_bench.figures import Figure, percentile
from pgq_bench.history import Sights
from pgq_bench.http import serving
from pgq_bench.server import opened
from pgq_server.route import EVENTS, HTML, Route
from pgq_server.routes import TABLE

MEDIAN, LATE = 100.0, 300.0
"""Targets, in milliseconds: of a page's median, and of the 95th percentile of a list."""

Kind = Literal["plain", "search", "payload"]
"""A search may look at many jobs before it has found what it shows; it is a list, and no page.
Inside payloads it may take as long as it is allowed to, which is no figure of ours."""

_STATES = ("ready", "scheduled", "running", "retrying", "succeeded", "cancelled", "dead")
PLAIN: Mapping[str, Sequence[str]] = {
    "/ui": ("", "span=6h", "span=48h"),
    "/ui/jobs": (
        "",
        *(f"q=state:{state}" for state in _STATES),
        "q=queue:{queue}",
        "q=state:ready queue:{queue}",
        "q=state:succeeded queue:{queue}",
        "q=created:<1h",
        "q=id:{old}",
        "q=payload.user.plan:pro",
        "sort=oldest",
        "before={old}",
    ),
    "/ui/dead": ("", "queue={queue}", "task=task 7", "fingerprint={fingerprint}"),
    "/ui/operations/new": ("verb=retry&q=queue:{queue}", "verb=cancel"),
    "/ui/suggestions": ("word=queue:", "word=task:ra"),
    "/api/v1/jobs": (
        "",
        *(f"state={state}" for state in _STATES),
        "limit=1000",
        "total=true",
        "queue={queue}&total=true",
        "order=oldest",
        "payload=user.plan:pro",
    ),
    "/api/v1/jobs/{id}/logs": ("", "limit=1000"),
    "/api/v1/dead": ("", "queue={queue}", "task=task 7", "fingerprint={fingerprint}"),
    "/api/v1/dead/groups": ("", "queue={queue}", "task=task 7"),
    "/api/v1/samples": ("", "limit=1000"),
}
"""Queries, by route; all other routes are asked without one."""
SEARCHES: Mapping[str, Sequence[str]] = {
    "/ui/jobs": (
        "q=created:>20d",
        "q=task:rare",
        "q=queue:rare",
        "q=state:ready tag:rare",
        "q=worker:{worker}",
    ),
    "/ui/dead": ("queue=rare", "task=rare"),
    "/ui/operations/new": ("verb=retry&q=task:rare", "verb=cancel&q=tag:rare"),
    "/api/v1/jobs": (
        "task=rare&total=true",
        "queue=rare",
        "tag=rare&state=succeeded",
        "worker={worker}",
    ),
    "/api/v1/dead": ("queue=rare", "task=rare"),
}
INSIDE: Mapping[str, Sequence[str]] = {
    "/ui/jobs": ("q=payload.user.id:no",),
    "/api/v1/jobs": ("payload=user.id:no",),
}
_ENDLESS_OR_FILES = (EVENTS, "application/octet-stream")


@dataclass(frozen=True)
class Question:
    """What is asked, again and again."""

    route: Route
    kind: Kind
    words: str
    """What sets it apart from others of its route."""
    address: str


def run(bench: Bench) -> Iterator[Figure]:
    """Each question in turn, over one connection that is kept; the first round warms up."""
    live, ended = bench.jobs * 10, bench.jobs * 50
    with bench.server.fresh() as dsn, opened(dsn) as session:
        sights = history.fill(session, live=live, ended=ended, say=bench.say)
        with (
            serving(dsn) as address,
            closing(HTTPConnection(address.host, address.port, timeout=60)) as connection,
        ):
            took = measured(bench, connection, list(questions(sights)))
    yield from figures(took)


def questions(sights: Sights) -> Iterator[Question]:
    """All that is asked, from the table of routes. Raises `PgqError` where it has no example."""
    names = {**sights.jobs, "queue": sights.queue, "worker": sights.worker}
    names["fingerprint"] = sights.fingerprint
    kinds: tuple[tuple[Kind, Mapping[str, Sequence[str]]], ...] = (
        ("plain", PLAIN),
        ("search", SEARCHES),
        ("payload", INSIDE),
    )
    for route in TABLE:
        if route.method != "GET" or route.media in _ENDLESS_OR_FILES or route.status != 200:
            continue
        for words, path in _paths(route, sights).items():
            for kind, queries in kinds:
                for query in queries.get(route.path, ("",) if kind == "plain" else ()):
                    address = f"{path}?{query.format(**names)}" if query else path
                    yield Question(route, kind, query or words, quote(address, safe="/?&=:%<>"))


def _paths(route: Route, sights: Sights) -> dict[str, str]:
    """Paths of a route, each with the state of the job that it names."""
    fields = route.path_model.model_fields if route.path_model else {}
    examples: dict[str, object] = {"queue": sights.queue}
    for name, field in fields.items():
        if get_origin(field.annotation) is Literal:
            examples[name] = get_args(field.annotation)[0]
    ids: Mapping[str, int] = {}
    if "/jobs/{id}" in route.path:
        ids = sights.jobs
    elif "/workers/{id}" in route.path:
        ids = {"": sights.worker}
    elif "/operations/{id}" in route.path:
        ids = {"": sights.operation}
    paths = {}
    for state, found in (ids or {"": 0}).items():
        given = examples | ({"id": found} if ids else {})
        if missing := fields.keys() - given.keys():
            raise PgqError(f"no example for {', '.join(missing)} of {route.path}: add it here")
        paths[state] = route.path.format(**{name: quote(str(each)) for name, each in given.items()})
    return paths


def measured(
    bench: Bench, connection: HTTPConnection, asked: Sequence[Question]
) -> dict[Question, list[float]]:
    """Milliseconds of each answer."""
    took: dict[Question, list[float]] = defaultdict(list)
    for n in range(6 * bench.rounds + 1):
        bench.say(f"pages: round {n} of {6 * bench.rounds}, {len(asked)} requests each")
        for question in asked:
            if question.kind == "payload" and n > bench.rounds:
                continue
            seconds = _asked(connection, question.address)
            if n:
                took[question].append(seconds * 1000)
    return took


def _asked(connection: HTTPConnection, address: str) -> float:
    """Seconds until all of the answer is read. Raises `PgqError` when it is a problem."""
    begun = time.perf_counter()
    connection.request("GET", address)
    answer = connection.getresponse()
    content = answer.read()
    seconds = time.perf_counter() - begun
    if answer.status != 200:
        raise PgqError(f"GET {address} was answered {answer.status}: {content[:1000].decode()}")
    return seconds


def figures(took: Mapping[Question, Sequence[float]]) -> Iterator[Figure]:
    """Two of each page, one of any other answer: each that of the slowest question."""
    by_route: dict[tuple[str, Kind], dict[Question, Sequence[float]]] = defaultdict(dict)
    for question, values in took.items():
        by_route[question.route.path, question.kind][question] = values
    for (path, kind), answers in by_route.items():
        is_page = kind == "plain" and next(iter(answers)).route.media == HTML
        for share, most in ((0.5, MEDIAN), (0.95, LATE)) if is_page else ((0.95, LATE),):
            value, slowest = max(
                ((percentile(values, share), asked) for asked, values in answers.items()),
                key=lambda each: each[0],
            )
            yield Figure(
                step="pages",
                name=_name(path, share, kind, slowest, len(answers)),
                value=value,
                unit="ms",
                most=None if kind == "payload" else most,
            )


def _name(path: str, share: float, kind: Kind, slowest: Question, n: int) -> str:
    words = {"plain": "", "search": ", searching", "payload": ", searching payloads in vain"}[kind]
    worst = f" (slowest of {n}: {slowest.words or 'all'})" if n > 1 else ""
    return f"{path}{words}, p{share * 100:.0f}{worst}"
