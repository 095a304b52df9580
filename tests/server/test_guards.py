"""Guards of the server, and each taken away: it starts, and the guard's own test fails."""

from __future__ import annotations

import inspect
import json
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import test_consuming as consuming
import test_heads as heads
from serving import Hall, enqueue, problem, serving, token

import processes
import servers
from pgq_server.access import TRUSTED_FOR
from pgq_server.masking import MASK

JOBS = "/api/v1/jobs"
SITE = Path(__file__).parent / "mutant_site"
OURS = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture
def queue() -> str:
    """A queue of the test's own."""
    return f"q-{uuid.uuid4()}"


@pytest.fixture
def background() -> Iterator[ThreadPoolExecutor]:
    """Runs requests that wait."""
    with ThreadPoolExecutor() as pool:
        yield pool


def limited(hall: Hall, *queues: str) -> httpx.Client:
    """A client whose token is limited to these queues."""
    secret = token(hall.conn, "operate", "work", "enqueue", queues=list(queues))
    return hall.service.client(secret)


def viewer(hall: Hall) -> httpx.Client:
    """A client that may only look."""
    return hall.service.client(token(hall.conn, "view"))


def signed_in(hall: Hall, *scopes: str) -> httpx.Client:
    """A browser, so to speak: its token is in the cookie."""
    secret = token(hall.conn, *scopes)
    return hall.service.client(headers={"Cookie": f"__Host-pgq={secret}"})


def test_a_limited_token_lists_jobs_of_its_queues_alone(guarded: Hall, queue: str) -> None:
    own = enqueue(guarded.conn, queue=queue)
    enqueue(guarded.conn, queue=f"{queue}-other")
    items = limited(guarded, queue).get(JOBS).json()["items"]
    assert [each["id"] for each in items] == [own]


def test_a_limited_token_finds_no_other_job(guarded: Hall, queue: str) -> None:
    other = enqueue(guarded.conn, queue=f"{queue}-other")
    problem(limited(guarded, queue).get(f"{JOBS}/{other}"), 404, "not-found")


def test_a_limited_token_makes_no_jobs_elsewhere(guarded: Hall, queue: str) -> None:
    body = {"task": "mail", "queue": f"{queue}-other"}
    problem(limited(guarded, queue).post(JOBS, json=body), 403, "forbidden")


def test_a_limited_token_pauses_no_other_queue(guarded: Hall, queue: str) -> None:
    enqueue(guarded.conn, queue=f"{queue}-other")
    answer = limited(guarded, queue).post(f"/api/v1/queues/{queue}-other/pause")
    problem(answer, 403, "forbidden")


def test_a_limited_token_sees_nothing_of_the_whole(guarded: Hall, queue: str) -> None:
    problem(limited(guarded, queue).get("/metrics"), 403, "forbidden")


def test_who_only_looks_cancels_nothing(guarded: Hall, queue: str) -> None:
    job = enqueue(guarded.conn, queue=queue)
    problem(viewer(guarded).post(f"{JOBS}/{job}/cancel"), 403, "forbidden")


def test_who_only_looks_sees_secrets_masked(guarded: Hall, queue: str) -> None:
    job = enqueue(guarded.conn, queue=queue, payload='{"password": "hunter2"}')
    assert viewer(guarded).get(f"{JOBS}/{job}/payload").json()["payload"] == {"password": MASK}


def test_who_only_looks_guesses_no_secrets(guarded: Hall) -> None:
    answer = viewer(guarded).get(JOBS, params={"payload": "password:hunter2"})
    problem(answer, 403, "forbidden")


def test_what_was_masked_in_a_form_stays_as_it_is(guarded: Hall, queue: str) -> None:
    payload = '{"password": "hunter2", "n": 1}'
    job = enqueue(guarded.conn, queue=queue, payload=payload)
    form = {"payload": json.dumps({"password": MASK, "n": 2})}
    answer = signed_in(guarded, "operate").post(f"/ui/jobs/{job}/edit", data=form, headers=OURS)
    assert answer.status_code < 400, answer.text
    found = guarded.conn.execute("select payload from pgq.get_payload(%s)", [job]).fetchone()
    assert found == ({"password": "hunter2", "n": 2},)


def test_a_wait_for_a_job_ends_with_its_token(
    guarded: Hall, queue: str, background: ThreadPoolExecutor
) -> None:
    job = enqueue(guarded.conn, queue=queue)
    client = viewer(guarded)
    waiting = background.submit(client.get, f"{JOBS}/{job}", params={"wait": 60})
    processes.wait(lambda: consuming.watches(guarded) > 0)
    guarded.conn.execute("select pgq.revoke_token(max(id)) from pgq.list_tokens()")
    processes.wait(lambda: client.get(JOBS).status_code == 401)
    guarded.conn.execute("select pgq.cancel(%s)", [job])
    problem(waiting.result(processes.PATIENCE), 401, "unauthenticated")


def test_a_revoked_token_is_forgotten_within_a_second(guarded: Hall) -> None:
    client = viewer(guarded)
    assert client.get(JOBS).status_code == 200
    guarded.conn.execute("select pgq.revoke_token(max(id)) from pgq.list_tokens()")
    assert TRUSTED_FOR < 1
    servers.until(lambda: client.get(JOBS).status_code == 401, "it is forgotten", seconds=10)


def test_the_cookie_is_out_of_reach_of_scripts_and_other_hosts(guarded: Hall) -> None:
    form = {"token": token(guarded.conn, "view")}
    answer = guarded.service.client().post("/ui/login", data=form, headers=OURS)
    name, *rest = answer.headers["set-cookie"].lower().split("; ")
    assert name.startswith("__host-")
    assert {"httponly", "secure", "path=/"} <= set(rest)
    assert {"samesite=lax", "samesite=strict"} & set(rest)
    assert not any(part.startswith("domain") for part in rest)


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_page_of_another_site_changes_nothing_by_a_cookie(
    guarded: Hall, queue: str, site: str
) -> None:
    job = enqueue(guarded.conn, queue=queue)
    client = signed_in(guarded, "operate")
    for path in (f"{JOBS}/{job}/cancel", f"/ui/jobs/{job}/cancel"):
        assert client.post(path, headers={"Sec-Fetch-Site": site}).status_code == 403
    form = {"token": "x"}
    answer = guarded.service.client().post("/ui/login", data=form, headers={"Sec-Fetch-Site": site})
    assert answer.status_code == 403
    assert client.post(f"{JOBS}/{job}/cancel", headers=OURS).status_code == 200


def test_a_page_of_another_origin_changes_nothing_by_a_cookie(guarded: Hall, queue: str) -> None:
    """Of a browser so old that it does not send `Sec-Fetch-Site`."""
    job = enqueue(guarded.conn, queue=queue)
    headers = {"Origin": "https://evil.example"}
    answer = signed_in(guarded, "operate").post(f"{JOBS}/{job}/cancel", headers=headers)
    problem(answer, 403, "forbidden")


def test_a_body_beyond_the_limit_is_refused(guarded: Hall) -> None:
    client = guarded.service.client(token(guarded.conn, "admin"))

    def chunks() -> Iterator[bytes]:
        yield b'{"task": "mail", "payload": "'
        for _ in range(20):
            yield b"x" * 100_000
        yield b'"}'

    headers = {"Content-Type": "application/json"}
    problem(client.post(JOBS, content=chunks(), headers=headers), 413, "too-large")


def test_keys_of_one_token_are_not_those_of_another(guarded: Hall, queue: str) -> None:
    headers = {"Idempotency-Key": queue}
    made = [
        guarded.service.client(token(guarded.conn, "enqueue"))
        .post(JOBS, json={"task": "mail", "queue": queue}, headers=headers)
        .json()["id"]
        for _ in range(2)
    ]
    assert len(set(made)) == 2


def test_a_refusal_does_not_repeat_secrets(guarded: Hall) -> None:
    client = guarded.service.client(token(guarded.conn, "admin"))
    for path, body in (
        (f"{JOBS}/7/complete", {"token": "hunter2"}),
        (JOBS, {"task": "mail", "headers": "hunter2"}),
    ):
        answer = client.post(path, json=body)
        problem(answer, 422, "invalid-request")
        assert "hunter2" not in answer.text


def claim_that_waits(guarded: Hall, queue: str, background: ThreadPoolExecutor) -> None:
    consuming.test_a_claim_that_waits_ends_with_its_token(guarded, queue, background)


def page_of_another_site(guarded: Hall, queue: str) -> None:
    test_a_page_of_another_site_changes_nothing_by_a_cookie(guarded, queue, "cross-site")


def page_of_a_neighbour(guarded: Hall, queue: str) -> None:
    test_a_page_of_another_site_changes_nothing_by_a_cookie(guarded, queue, "same-site")


def no_host(guarded: Hall) -> None:
    heads.test_a_request_names_one_host(guarded, b"")


def two_hosts(guarded: Hall) -> None:
    heads.test_a_request_names_one_host(guarded, heads.HOST * 2)


@dataclass(frozen=True)
class Mutant:
    """A place in a module, what stands there instead, and who must notice."""

    name: str
    test: Callable[..., None]
    module: str
    old: str
    new: str


MUTANTS = [
    # Queues
    Mutant("lists_all", test_a_limited_token_lists_jobs_of_its_queues_alone,
           "pgq_server.api.jobs", '"p_queues": identity.only,', '"p_queues": None,'),
    Mutant("shows_all", test_a_limited_token_finds_no_other_job,
           "pgq_server.dispatch", 'route.reach == "job" and', "False and"),
    Mutant("makes_anywhere", test_a_limited_token_makes_no_jobs_elsewhere,
           "pgq_server.call", "if not self.identity.reaches(queue):", "if False:"),
    Mutant("pauses_any", test_a_limited_token_pauses_no_other_queue,
           "pgq_server.dispatch", 'route.reach == "queue" and', "False and"),
    Mutant("tells_limited_tokens_of_the_whole", test_a_limited_token_sees_nothing_of_the_whole,
           "pgq_server.dispatch", 'route.reach == "service" and', "False and"),
    # Scopes
    Mutant("viewers_act", test_who_only_looks_cancels_nothing,
           "pgq_server.dispatch", "if not identity.may(route.scopes):", "if False:"),
    Mutant("viewers_see_secrets", test_who_only_looks_sees_secrets_masked,
           "pgq_server.api.jobs", "    if not call.identity.may(SEES_ALL):", "    if False:"),
    Mutant("viewers_guess", test_who_only_looks_guesses_no_secrets,
           "pgq_server.api.jobs", "if not identity.may(SEES_ALL) and any(", "if False and any("),
    Mutant("mask_is_kept_as_value", test_what_was_masked_in_a_form_stays_as_it_is,
           "pgq_server.masking", "if each == MASK and", "if False and"),
    # Tokens
    Mutant("waits_outlive_tokens", test_a_wait_for_a_job_ends_with_its_token,
           "pgq_server.api.jobs", "await call.services.access.identify(call.request)", "pass"),
    Mutant("claims_outlive_tokens", claim_that_waits,
           "pgq_server.api.leases", "await services.access.identify(call.request)", "pass"),
    Mutant("tokens_are_remembered", test_a_revoked_token_is_forgotten_within_a_second,
           "pgq_server.access", "TRUSTED_FOR = 0.8", "TRUSTED_FOR = 1e9"),
    # Browsers
    Mutant("scripts_read_the_cookie",
           test_the_cookie_is_out_of_reach_of_scripts_and_other_hosts,
           "pgq_server.ui.pages.login", "call.body.token.strip(), secure=True, httponly=True",
           "call.body.token.strip(), secure=True, httponly=False"),
    Mutant("cookie_of_any_host", test_the_cookie_is_out_of_reach_of_scripts_and_other_hosts,
           "pgq_server.access", 'COOKIE = "__Host-pgq"', 'COOKIE = "pgq"'),
    Mutant("other_sites_act", page_of_another_site,
           "pgq_server.dispatch", "        check_origin(request, identity)", "        pass"),
    Mutant("other_sites_sign_in", page_of_another_site,
           "pgq_server.ui.pages.login", "check_origin(call.request, _BROWSER)", "pass"),
    Mutant("neighbours_act", page_of_a_neighbour,
           "pgq_server.access", 'in ("same-origin", "none")',
           'in ("same-origin", "same-site", "none")'),
    Mutant("old_browsers_act", test_a_page_of_another_origin_changes_nothing_by_a_cookie,
           "pgq_server.access", "(origin is None or", "(True or"),
    Mutant("cookies_are_as_good_as_headers", page_of_another_site,
           "pgq_server.access", "token=found.token,\n                is_ambient=True,",
           "token=found.token,"),
    # What comes in and goes out
    Mutant("bodies_without_end", test_a_body_beyond_the_limit_is_refused,
           "pgq_server.intake", "if len(content) > limit:", "if False:"),
    Mutant("keys_of_all", test_keys_of_one_token_are_not_those_of_another,
           "pgq_server.access", 'else f"token {self.token}"', 'else "token"'),
    Mutant("refusals_repeat_contents", test_a_refusal_does_not_repeat_secrets,
           "pgq_server.faults",
           "any(name in _CONTENTS or masking.is_secret(name) for name in map(str, place))",
           "False"),
    Mutant("heads_without_end", heads.test_a_head_without_end_is_refused,
           "pgq_server.protocol", "if self._unfinished > UNFINISHED:", "if False:"),
    Mutant("tails_without_end", heads.test_what_follows_a_body_without_end_is_refused,
           "pgq_server.protocol", "self._unfinished += len(data)",
           "self._unfinished += len(data) if self._in_head else 0"),
    Mutant("headers_behind_bodies", heads.test_what_follows_a_body_identifies_nobody,
           "pgq_server.protocol", "if self._in_head:", "if True:"),
    Mutant("offers_are_refused",
           heads.test_a_request_that_offers_another_protocol_keeps_its_body,
           "pgq_server.protocol", "self._hand_over(data[upgrade.args[0] :])", "self._refuse()"),
    Mutant("any_host", no_host, "pgq_server.protocol", 'raise ValueError("expected one Host")',
           "pass"),
    Mutant("any_hosts", two_hosts, "pgq_server.protocol", "hosts > 1 or", "False or"),
    Mutant("unbounded_parser", heads.test_a_head_without_end_is_refused,
           "pgq_server.process", "http=_protocol(),", 'http="auto",'),
]  # fmt: skip


@pytest.mark.parametrize("mutant", [pytest.param(each, id=each.name) for each in MUTANTS])
def test_mutant_is_caught(
    mutant: Mutant, dsn: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    told = json.dumps([mutant.module, mutant.old, mutant.new])
    names = inspect.signature(mutant.test).parameters.keys() - {"guarded"}
    fixtures: dict[str, Any] = {name: request.getfixturevalue(name) for name in names}
    with psycopg.connect(dsn, autocommit=True) as conn:
        token(conn, "admin")
        with serving(
            tmp_path, dsn, "--require-token", PYTHONPATH=str(SITE), PGQ_TEST_MUTANT=told
        ) as service:
            broken = Hall(dsn, service, service.client(), conn)
            with pytest.raises((AssertionError, pytest.fail.Exception)):
                mutant.test(broken, **fixtures)
