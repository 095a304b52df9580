"""Who is let in: every route, from the table of routes."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import pytest
from serving import Hall, Service, bury, enqueue, problem, token

import processes
from pgq_server import app
from pgq_server.access import SCOPES
from pgq_server.route import PUBLIC, Route
from pgq_server.routes import TABLE
from pgq_server.settings import Settings

CLOSED = [route for route in TABLE if not route.is_public]
OPEN = {
    "/healthz": "a process supervisor has no token",
    "/readyz": "a load balancer has no token",
    "/openapi.json": "what the API is like is no secret",
    "/docs": "what the API is like is no secret",
    "/docs/{file}": "what the API is like is no secret",
    "/": "it leads to the dashboard, which asks for a token",
    "/ui/login": "this is where one shows a token",
    "/ui/static/{version}/{path:path}": "what the pages look like is no secret",
}
"""Paths that everyone may ask for, and why."""


def every(routes: Sequence[Route]) -> pytest.MarkDecorator:
    """Runs a test for each of them."""
    return pytest.mark.parametrize(
        "route", routes, ids=[f"{route.method} {route.path}" for route in routes]
    )


every_closed_route = every(CLOSED)


@pytest.fixture(scope="module")
def secret_job(guarded: Hall) -> int:
    """A job of a queue that the tokens of these tests do not reach."""
    job = enqueue(guarded.conn, queue="secret", payload='{"n": 1}')
    bury(guarded.conn, job, "secret")
    return job


def path_of(route: Route, job: int = 7) -> str:
    return (
        route.path.replace("{id}", str(job))
        .replace("{queue}", "secret")
        .replace("{file}", "x")
        .replace("{path:path}", "x")
        .replace("{action}", "pause" if "queues" in route.path else "cancel")
    )


def asked(hall: Hall, route: Route, secret: str | None, job: int = 7) -> httpx.Response:
    return _client(hall, secret).request(route.method, path_of(route, job), **_body(route))


def _client(hall: Hall, secret: str | None) -> httpx.Client:
    return hall.service.client(secret, follow_redirects=False)


def _body(route: Route) -> dict[str, Any]:
    return {"json": {}} if route.body else {}


def refused(answer: httpx.Response, route: Route, status: int) -> None:
    """Not let in; a page may lead to where one signs in instead."""
    if route.refusal is not None and status == 401 and answer.is_redirect:
        assert "login" in answer.headers["location"]
        return
    assert answer.status_code == status, answer.text
    if route.refusal is None:
        problem(answer, status, "unauthenticated" if status == 401 else "forbidden")


def test_every_route_says_who_may_use_it() -> None:
    for route in TABLE:
        if route.scopes == PUBLIC:
            assert route.path in OPEN, f"{route.path} is open to everyone"
        else:
            assert route.scopes, f"{route.method} {route.path} has no scope"
            assert set(route.scopes) <= set(SCOPES)


def test_nothing_is_served_beside_the_table() -> None:
    served = {found.path for found in app.create(Settings(dsn="")).router.routes}  # type: ignore[attr-defined]
    assert served == {route.path for route in TABLE}


@every_closed_route
def test_without_a_token_nobody_gets_in(guarded: Hall, route: Route) -> None:
    refused(asked(guarded, route, None), route, 401)


@every_closed_route
@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "TRACE", "PUT", "DELETE", "PROPFIND"])
def test_no_method_leads_around_the_token(guarded: Hall, route: Route, method: str) -> None:
    answer = _client(guarded, None).request(method, path_of(route))
    if answer.is_redirect and route.refusal:
        assert "login" in answer.headers["location"]
    else:
        assert answer.status_code == 401, answer.text


@every_closed_route
@pytest.mark.parametrize("kind", ["malformed", "unknown", "expired", "revoked", "basic"])
def test_a_token_that_is_not_valid_lets_nobody_in(
    guarded: Hall, route: Route, kind: str, bad_tokens: dict[str, str]
) -> None:
    client = guarded.service.client(headers={"Authorization": bad_tokens[kind]})
    answer = client.request(route.method, path_of(route), **_body(route))
    refused(answer, route, 401)


@pytest.fixture(scope="module")
def bad_tokens(guarded: Hall) -> dict[str, str]:
    expired = token(guarded.conn, "admin", lasts="1 hour")
    guarded.conn.execute("update pgq.token set expires_at = now() - interval '1 s' "
                         "where expires_at is not null")  # fmt: skip
    revoked = token(guarded.conn, "admin")
    guarded.conn.execute("select pgq.revoke_token(max(id)) from pgq.token")
    return {
        "malformed": "Bearer pgq_x",
        "unknown": f"Bearer pgq_{'x' * 43}",
        "expired": f"Bearer {expired}",
        "revoked": f"Bearer {revoked}",
        "basic": f"Basic {expired}",
    }


@every_closed_route
def test_a_token_of_another_scope_is_forbidden(guarded: Hall, route: Route) -> None:
    let_in = {"admin", *route.scopes} | ({"operate"} if "view" in route.scopes else set())
    for scope in set(SCOPES) - let_in:
        refused(asked(guarded, route, token(guarded.conn, scope)), route, 403)


@every([route for route in CLOSED if route.reach != "open"])
def test_a_token_limited_to_other_queues_reaches_nothing(
    guarded: Hall, route: Route, secret_job: int
) -> None:
    limited = token(guarded.conn, *SCOPES, queues=["mine"])
    if route.reach == "handler":
        name = f"{route.method} {route.path}"
        if route.path.startswith("/ui") and route.method == "GET":
            check = _is_empty(route.path)
        else:
            check = BY_HANDLER[name]
        check(guarded.service.client(limited), secret_job)
        return
    answer = asked(guarded, route, limited, secret_job)
    if route.reach == "job":
        if route.refusal is None:
            problem(answer, 404, "not-found")
        else:
            assert answer.status_code == 404
    else:
        refused(answer, route, 403)
    state = "select state from pgq.job_status where id = %s"
    assert guarded.conn.execute(state, [secret_job]).fetchone() == ("dead",)


def _is_forbidden(method: str, path: str, body: Any) -> Callable[[httpx.Client, int], None]:
    def check(client: httpx.Client, job: int) -> None:
        problem(client.request(method, path, json=body), 403, "forbidden")

    return check


def _is_empty(path: str) -> Callable[[httpx.Client, int], None]:
    def check(client: httpx.Client, job: int) -> None:
        answer = client.get(path)
        assert answer.status_code in (200, 422), answer.text
        assert not re.search(r"\bsecret\b", answer.text)
        assert str(job) not in answer.text

    return check


def _is_unknown(method: str, path: str) -> Callable[[httpx.Client, int], None]:
    def check(client: httpx.Client, job: int) -> None:
        problem(client.request(method, path), 404, "not-found")

    return check


def _lists_nothing(client: httpx.Client, job: int) -> None:
    assert str(job) not in {each["id"] for each in client.get("/jobs").json()}


def _hears_nothing(client: httpx.Client, job: int) -> None:
    with client.stream("GET", f"{API}/events") as answer:
        for line in answer.iter_lines():
            if line.startswith("data: "):
                assert json.loads(line.removeprefix("data: ")) == {"items": []}
                return


def _gives_nothing_back(client: httpx.Client, job: int) -> None:
    body = {"leases": [{"id": job, "token": str(uuid4())}]}
    problem(client.post(f"{API}/releases", json=body), 404, "not-found")


def _is_form_forbidden(path: str, **fields: str) -> Callable[[httpx.Client, int], None]:
    def check(client: httpx.Client, job: int) -> None:
        assert client.post(path, data=fields).status_code == 403

    return check


def _posts(client: httpx.Client, path: str, **fields: str) -> None:
    """It is let in, and what it starts keeps to its queues."""
    answer = client.post(path, data=fields)
    assert answer.status_code in (200, 303), answer.text


def _counts_none(client: httpx.Client, path: str, **fields: str) -> None:
    """A preview is of their queues alone."""
    assert ">0 jobs<" in client.post(path, data=fields).text


def _is_missing(client: httpx.Client, path: str) -> None:
    assert client.post(path).status_code == 404


def _finds_nothing(path: str, **body: Any) -> Callable[[httpx.Client, int], None]:
    """An operation of theirs is for none of the jobs of others."""

    def check(client: httpx.Client, job: int) -> None:
        answer = client.post(path, json={**body, "ids": [job]})
        assert answer.status_code == 202, answer.text

    return check


SECRET = {"task": "mail", "queue": "secret"}
API = "/api/v1"
BY_HANDLER: dict[str, Callable[[httpx.Client, int], None]] = {
    f"POST {API}/jobs": _is_forbidden("POST", f"{API}/jobs", SECRET),
    f"POST {API}/jobs/batch": _is_forbidden(
        "POST", f"{API}/jobs/batch", {"jobs": [{"task": "x", "queue": "mine"}, SECRET]}
    ),
    f"GET {API}/jobs": _is_empty(f"{API}/jobs"),
    f"GET {API}/queues": _is_empty(f"{API}/queues"),
    f"GET {API}/workers": _is_empty(f"{API}/workers"),
    f"GET {API}/workers/{{id}}": _is_unknown("GET", f"{API}/workers/999"),
    f"GET {API}/tasks": _is_empty(f"{API}/tasks"),
    f"GET {API}/stats": _is_empty(f"{API}/stats"),
    f"GET {API}/events": _hears_nothing,
    f"POST {API}/claims": _is_forbidden(
        "POST", f"{API}/claims", {"queues": ["mine", "secret"], "wait": 60}
    ),
    f"POST {API}/releases": _gives_nothing_back,
    "POST /jobs": _is_forbidden("POST", "/jobs", {"type": "mail"}),
    "POST /submit_job": _is_forbidden("POST", "/submit_job", {"name": "mail"}),
    "GET /jobs": _lists_nothing,
    f"GET {API}/dead": _is_empty(f"{API}/dead"),
    f"GET {API}/dead/groups": _is_empty(f"{API}/dead/groups"),
    f"POST {API}/dead/retry": _finds_nothing(f"{API}/dead/retry"),
    f"POST {API}/dead/purge": _finds_nothing(f"{API}/dead/purge"),
    "POST /ui/operations": lambda client, job: _posts(
        client, "/ui/operations", verb="retry", id=str(job)
    ),
    f"GET {API}/operations": _is_empty(f"{API}/operations"),
    f"GET {API}/operations/{{id}}": _is_unknown("GET", f"{API}/operations/999"),
    f"POST {API}/operations/{{id}}/stop": _is_unknown("POST", f"{API}/operations/999/stop"),
    "POST /ui/operations/faces": lambda client, job: _counts_none(
        client, "/ui/operations/faces", verb="retry", id=str(job)
    ),
    "POST /ui/operations/{id}/stop": lambda client, job: _is_missing(
        client, "/ui/operations/999/stop"
    ),
    "POST /ui/new": _is_form_forbidden("/ui/new", task="mail", queue="secret"),
    "POST /ui/new/faces": _is_form_forbidden("/ui/new/faces", task="mail", queue="secret"),
    f"POST {API}/operations": _finds_nothing(f"{API}/operations", verb="purge"),
}
"""How each route of reach `handler` keeps to a token's queues."""


def raw(hall: Hall, target: str, headers: dict[str, str] | None = None, host: str = "x") -> int:
    """The status of a GET that is sent as it is."""
    address = urlsplit(hall.service.url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=60)
    try:
        connection.putrequest("GET", target, skip_host=True)
        for name, value in {"Host": host, **(headers or {})}.items():
            connection.putheader(name, value)
        connection.endheaders()
        return connection.getresponse().status
    finally:
        connection.close()


TRICKS = [
    "//api/v1/queues", "/api//v1/queues", "/api/v1/queues/", "/api/v1/queues/.", "/./api/v1/queues",
    "/healthz/../api/v1/queues", "/healthz/..%2fapi/v1/queues", "/healthz%2f..%2fapi%2fv1%2fqueues",
    "/API/V1/QUEUES", "/api/v1/%71ueues", "http://localhost/api/v1/queues",
    "/api/v1/queues%00", "/api/v1/queues;a=b", "/api/v1/queues%3f",
    "/api/v1/queues?x=/healthz", "/api/v1/queues#/healthz", "/%2e%2e/api/v1/queues",
    "\\api\\v1\\queues",
    "/healthz/", "/docs/..%2f..%2fetc%2fpasswd", "*", "/api/v1/queues%ff",
]  # fmt: skip


@pytest.mark.parametrize("target", TRICKS)
def test_no_spelling_of_a_path_leads_around_the_token(guarded: Hall, target: str) -> None:
    assert raw(guarded, target) in (400, 401, 404)


HOSTS = [
    "", "localhost", "127.0.0.1", "localhost/healthz?", "localhost:80/healthz#", "a@localhost",
    "[::1", "[::1]/",
    "localhost, evil.example", "evil.example/healthz", "x" * 5000, "127.0.0.1:99999999999", "..",
    "/healthz",
]  # fmt: skip


@pytest.mark.parametrize("host", HOSTS)
def test_no_host_header_leads_around_the_token(guarded: Hall, host: str) -> None:
    assert raw(guarded, "/api/v1/queues", host=host) in (400, 401)
    assert raw(guarded, "/nowhere", host=host) in (400, 401)


def test_nobody_is_let_in_on_loopback_by_what_they_say(guarded: Hall) -> None:
    for name in ("X-Forwarded-For", "X-Real-IP", "Forwarded", "X-Forwarded-Host"):
        assert raw(guarded, "/api/v1/queues", {name: "127.0.0.1"}, host="localhost") == 401


@pytest.mark.parametrize("host", [host for host in HOSTS if host not in ("localhost", "127.0.0.1")])
def test_another_name_than_loopbacks_is_not_let_in_without_a_token(hall: Hall, host: str) -> None:
    assert raw(hall, "/api/v1/queues", host=host) in (400, 401)


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1", "LOCALHOST:1", "[::1]:8080", "127.0.0.9"]
)
def test_loopbacks_names_are_let_in_without_a_token(hall: Hall, host: str) -> None:
    assert raw(hall, "/api/v1/queues", host=host) == 200


@pytest.mark.parametrize("name", ["X-Forwarded-For", "X-Real-IP", "Forwarded", "Via"])
def test_what_a_proxy_passes_on_is_not_let_in_without_a_token(hall: Hall, name: str) -> None:
    assert raw(hall, "/api/v1/queues", {name: "10.0.0.1"}, host="localhost") == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:1"},
    ],
)
def test_a_page_of_another_site_changes_nothing(hall: Hall, headers: dict[str, str]) -> None:
    answer = hall.api.post("/api/v1/queues/cross/pause", headers=headers)
    problem(answer, 403, "forbidden")
    problem(hall.api.get("/api/v1/queues/cross"), 404, "not-found")


@pytest.mark.parametrize(
    "headers", [{"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}, {}]
)
def test_a_page_of_its_own_changes_things(hall: Hall, headers: dict[str, str]) -> None:
    assert hall.api.post("/api/v1/queues/ours/pause", headers=headers).status_code == 200
    origin = {"Origin": hall.service.url}
    assert hall.api.post("/api/v1/queues/ours/pause", headers=origin).status_code == 200


def test_a_cookie_changes_nothing_for_another_site(guarded: Hall) -> None:
    cookie = {"Cookie": f"__Host-pgq={token(guarded.conn, 'admin')}"}
    client = guarded.service.client(headers=cookie)
    assert client.get("/api/v1/queues").status_code == 200
    cross = client.post("/api/v1/queues/c/pause", headers={"Sec-Fetch-Site": "cross-site"})
    problem(cross, 403, "forbidden")
    same = client.post("/api/v1/queues/c/pause", headers={"Sec-Fetch-Site": "same-origin"})
    assert same.status_code == 200


def test_a_bearers_token_is_for_programs_of_any_origin(guarded: Hall) -> None:
    client = guarded.service.client(token(guarded.conn, "operate"))
    answer = client.post("/api/v1/queues/c/pause", headers={"Origin": "http://other.example"})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("scope", "method", "path"),
    [
        ("enqueue", "POST", "/api/v1/jobs"),
        ("view", "GET", "/api/v1/jobs"),
        ("operate", "GET", "/api/v1/jobs"),
        ("operate", "POST", "/api/v1/queues/mine/pause"),
        ("admin", "POST", "/api/v1/jobs"),
    ],
)
def test_a_scope_lets_in(guarded: Hall, scope: str, method: str, path: str) -> None:
    body = {"task": "mail", "queue": "mine"} if path.endswith("jobs") and method == "POST" else None
    for queues in (None, ["mine"]):
        client = guarded.service.client(token(guarded.conn, scope, queues=queues))
        answer = client.request(method, path, json=body)
        assert answer.is_success, answer.text


def test_a_limited_token_sees_its_own_queues(guarded: Hall, secret_job: int) -> None:
    mine = enqueue(guarded.conn, queue="mine too")
    client = guarded.service.client(token(guarded.conn, "view", queues=["mine too"]))
    assert [job["id"] for job in client.get("/api/v1/jobs").json()["items"]] == [mine]
    assert [each["queue"] for each in client.get("/api/v1/queues").json()["items"]] == ["mine too"]
    assert client.get(f"/api/v1/jobs/{mine}").status_code == 200


def test_a_revoked_token_is_refused_within_a_second(guarded: Hall) -> None:
    client = guarded.service.client(token(guarded.conn, "view"))
    assert client.get("/api/v1/queues").status_code == 200
    guarded.conn.execute("select pgq.revoke_token(max(id)) from pgq.token")
    processes.wait(lambda: client.get("/api/v1/queues").status_code == 401)


def test_it_refuses_to_listen_elsewhere_without_tokens(tmp_path: Any, dsn: str) -> None:
    options = ("server", "--host", "0.0.0.0", "--port", "0")
    with processes.running(tmp_path, *options, DATABASE_URL=dsn) as command:
        assert command.ended() == 2
        assert "pgq token create" in command.output
        assert "Traceback" not in command.output


def test_it_listens_elsewhere_when_there_is_a_token(
    serve: Callable[..., Service], conn: Any
) -> None:
    secret = token(conn, "view")
    service = serve("--host", "0.0.0.0")
    service.url = service.url.replace("0.0.0.0", "127.0.0.1")
    problem(service.client().get("/api/v1/queues"), 401, "unauthenticated")
    assert service.client(secret).get("/api/v1/queues").status_code == 200


def test_only_allowed_hosts_are_answered(serve: Callable[..., Service]) -> None:
    client = serve("--allowed-host", "queue.example", "--allowed-host", "localhost").client()
    assert client.get("/healthz", headers={"Host": "Queue.example:80"}).status_code == 200
    problem(client.get("/healthz", headers={"Host": "evil.example"}), 403, "forbidden")


@pytest.fixture
def prefixed(serve: Callable[..., Service], conn: Any) -> httpx.Client:
    return serve("--prefix", "/queue").client(token(conn, "admin"))


def test_below_a_prefix_places_are_told_as_the_browser_sees_them(prefixed: httpx.Client) -> None:
    prefixed.base_url = httpx.URL(str(prefixed.base_url).replace("/queue", ""))
    for path in ("/queue/api/v1/jobs", "/api/v1/jobs"):
        answer = prefixed.post(path, json={"task": "mail"})
        assert answer.headers["location"] == f"/queue/api/v1/jobs/{answer.json()['id']}"
        assert prefixed.get(answer.headers["location"]).status_code == 200
    problem(prefixed.get("/queuex/api/v1/jobs"), 404, "not-found")
