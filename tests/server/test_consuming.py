"""Running jobs over HTTP: claims, leases that are lost, and what becomes of jobs."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from concurrent import futures
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import httpx
import psycopg
import pytest
from serving import Hall, Service, enqueue, problem, token

import processes

Json = dict[str, Any]


@pytest.fixture
def queue() -> str:
    """A queue of the test's own."""
    return f"q-{uuid.uuid4()}"


@pytest.fixture
def background() -> Iterator[ThreadPoolExecutor]:
    """Runs requests that wait."""
    with ThreadPoolExecutor(300) as pool:
        yield pool


def claim(api: httpx.Client, *queues: str, **more: Any) -> list[Json]:
    answer = api.post("/api/v1/claims", json={"queues": list(queues), **more})
    assert answer.status_code == 200, answer.text
    items: list[Json] = answer.json()["items"]
    return items


def running(hall: Hall, queue: str, **columns: Any) -> Json:
    """A job that is ours."""
    enqueue(hall.conn, queue=queue, **columns)
    (lease,) = claim(hall.api, queue)
    return lease


def do(hall: Hall, lease: Json, verb: str, **body: Any) -> httpx.Response:
    path = f"/api/v1/jobs/{lease['id']}/{verb}"
    return hall.api.post(path, json={"token": lease["token"], **body})


def state(hall: Hall, job: int) -> str:
    found: str = hall.api.get(f"/api/v1/jobs/{job}").json()["state"]
    return found


def lose(hall: Hall, lease: Json) -> None:
    """The job is given back behind its holder's back."""
    hall.conn.execute(
        "select pgq.release(array[%s], array[%s::uuid])", [lease["id"], lease["token"]]
    )


def test_a_claimed_job_comes_with_its_payload_as_it_was_sent(hall: Hall, queue: str) -> None:
    job = enqueue(hall.conn, queue=queue, payload='{"n":  1.10}', headers='{"a": 1}', priority=3)
    answer = hall.api.post("/api/v1/claims", json={"queues": [queue]})
    assert '"payload":{"n":  1.10}' in answer.text
    (lease,) = answer.json()["items"]
    assert (lease["id"], lease["task"], lease["queue"]) == (job, "mail", queue)
    assert (lease["attempt"], lease["max_attempts"], lease["timeout_seconds"]) == (1, 5, 600)
    assert (lease["headers"], lease["priority"], lease["suspect"]) == ({"a": 1}, 3, False)
    assert state(hall, job) == "running"


def test_a_claim_takes_no_more_than_its_limit_over_all_queues(hall: Hall, queue: str) -> None:
    for name in "abc":
        for _ in range(3):
            enqueue(hall.conn, queue=f"{queue}{name}")
    leases = claim(hall.api, f"{queue}a", f"{queue}b", f"{queue}c", limit=4)
    assert [lease["queue"][-1] for lease in leases] == ["a", "a", "a", "b"]


def test_a_claim_of_empty_queues_gets_none(hall: Hall, queue: str) -> None:
    assert claim(hall.api, queue) == []


def test_a_claim_that_is_repeated_with_its_token_gets_the_same_jobs(hall: Hall, queue: str) -> None:
    for _ in range(4):
        enqueue(hall.conn, queue=queue)
    ours = str(uuid.uuid4())
    first = claim(hall.api, queue, limit=2, token=ours)
    assert claim(hall.api, queue, limit=2, token=ours) == first
    others = claim(hall.api, queue, limit=2)
    assert {lease["id"] for lease in others}.isdisjoint(lease["id"] for lease in first)


def test_a_claim_waits_for_a_job(hall: Hall, queue: str, background: ThreadPoolExecutor) -> None:
    waiting = background.submit(claim, hall.api, queue, wait=60)
    processes.wait(lambda: watches(hall) > 0)
    job = enqueue(hall.conn, queue=queue)
    assert [lease["id"] for lease in waiting.result(processes.PATIENCE)] == [job]


def test_a_claim_ends_without_a_job_in_time(hall: Hall, queue: str) -> None:
    assert claim(hall.api, queue, wait=1) == []


def test_claims_that_wait_get_a_job_each(
    hall: Hall, queue: str, background: ThreadPoolExecutor
) -> None:
    client = many(hall.service)
    waiting = [background.submit(claim, client, queue, wait=60) for _ in range(40)]
    jobs = {enqueue(hall.conn, queue=queue) for _ in range(40)}
    found = [lease["id"] for each in waiting for lease in each.result(processes.PATIENCE)]
    assert sorted(found) == sorted(jobs)


def test_a_queue_that_is_paused_wakes_nobody(hall: Hall, queue: str) -> None:
    hall.conn.execute("select pgq.pause(%s)", [queue])
    enqueue(hall.conn, queue=queue)
    assert claim(hall.api, queue, wait=1) == []


def test_a_job_can_be_completed_with_a_result(hall: Hall, queue: str) -> None:
    lease = running(hall, queue)
    answer = do(hall, lease, "complete", result={"sent": 1.50})
    assert (answer.status_code, answer.content) == (204, b"")
    job = lease["id"]
    assert state(hall, job) == "succeeded"
    assert hall.api.get(f"/api/v1/jobs/{job}/payload").json()["result"] == {"sent": 1.5}


def test_completing_again_with_the_same_token_is_no_error(hall: Hall, queue: str) -> None:
    lease = running(hall, queue)
    assert do(hall, lease, "complete").status_code == 204
    assert do(hall, lease, "complete").status_code == 204


def test_a_failed_job_is_tried_again(hall: Hall, queue: str) -> None:
    lease = running(hall, queue)
    answer = do(hall, lease, "fail", error_class="Oops", message="no", retry_in_seconds=3600)
    assert answer.json()["state"] == "retrying"
    assert answer.json()["run_at"].endswith("Z")
    (attempt,) = hall.api.get(f"/api/v1/jobs/{lease['id']}/attempts").json()["items"]
    assert (attempt["error_class"], attempt["message"]) == ("Oops", "no")


def test_a_job_can_fail_for_good(hall: Hall, queue: str) -> None:
    lease = running(hall, queue)
    assert do(hall, lease, "fail", permanent=True).json() == {"state": "dead", "run_at": None}
    assert state(hall, lease["id"]) == "dead"


def test_a_snoozed_job_is_put_off(hall: Hall, queue: str) -> None:
    lease = running(hall, queue)
    assert do(hall, lease, "snooze", delay_seconds=3600).json()["state"] == "scheduled"
    assert state(hall, lease["id"]) == "scheduled"


def test_lines_of_the_log_are_numbered(hall: Hall, queue: str) -> None:
    lease = running(hall, queue)
    assert do(hall, lease, "log", message="begun").json() == {"n": 1}
    assert do(hall, lease, "log", message="half", level="debug", progress=0.5).json() == {"n": 2}
    lines = hall.api.get(f"/api/v1/jobs/{lease['id']}/logs").json()["items"]
    assert [(line["level"], line["message"], line["progress"]) for line in lines] == [
        ("info", "begun", None),
        ("debug", "half", 0.5),
    ]


def test_a_lease_can_be_extended(hall: Hall, queue: str) -> None:
    lease = running(hall, queue)
    until = "select expires_at from pgq.lease where job_id = %s"
    before = hall.conn.execute(until, [lease["id"]]).fetchone()
    answer = do(hall, lease, "extend", lease_seconds=3600)
    assert (answer.status_code, answer.json()) == (200, {"cancel_requested": False})
    after = hall.conn.execute(until, [lease["id"]]).fetchone()
    assert before
    assert after
    assert (after[0] - before[0]).total_seconds() > 3000


def test_who_extends_hears_that_the_job_is_to_be_cancelled(hall: Hall, queue: str) -> None:
    lease = running(hall, queue)
    hall.api.post(f"/api/v1/jobs/{lease['id']}/cancel")
    assert do(hall, lease, "extend").json() == {"cancel_requested": True}
    assert do(hall, lease, "fail").json()["state"] == "cancelled"


def test_a_job_that_is_given_back_can_be_claimed_at_once(hall: Hall, queue: str) -> None:
    lease = running(hall, queue)
    held = {"id": lease["id"], "token": lease["token"]}
    assert hall.api.post("/api/v1/releases", json={"leases": [held]}).json() == {"lost": []}
    assert hall.api.post("/api/v1/releases", json={"leases": [held]}).json() == {
        "lost": [lease["id"]]
    }
    (again,) = claim(hall.api, queue)
    assert (again["id"], again["attempt"]) == (lease["id"], 1)


@pytest.mark.parametrize(
    ("verb", "body"),
    [
        ("extend", {}),
        ("complete", {"result": 1}),
        ("fail", {}),
        ("snooze", {"delay_seconds": 1}),
        ("log", {"message": "late"}),
    ],
)
def test_who_has_lost_the_lease_is_told(hall: Hall, queue: str, verb: str, body: Json) -> None:
    lease = running(hall, queue)
    lose(hall, lease)
    (other,) = claim(hall.api, queue)
    problem(do(hall, lease, verb, **body), 409, "lease-lost")
    assert state(hall, other["id"]) == "running"
    assert do(hall, other, "complete").status_code == 204


def test_a_lease_that_is_not_extended_runs_out(hall: Hall, queue: str) -> None:
    job = enqueue(hall.conn, queue=queue)
    (lease,) = claim(hall.api, queue, lease_seconds=0.001)

    processes.wait(lambda: state(hall, job) == "ready")
    problem(do(hall, lease, "complete"), 409, "lease-lost")


def test_a_failure_that_is_told_again_is_no_error(hall: Hall, queue: str) -> None:
    lease = running(hall, queue)
    first = do(hall, lease, "fail", retry_in_seconds=60)
    assert do(hall, lease, "fail", retry_in_seconds=60).json() == first.json()


def test_a_line_that_is_sent_again_with_its_key_is_kept_once(hall: Hall, queue: str) -> None:
    lease = running(hall, queue)
    body = {"token": lease["token"], "message": "begun"}
    headers = {"Idempotency-Key": str(uuid.uuid4())}
    for _ in range(2):
        answer = hall.api.post(f"/api/v1/jobs/{lease['id']}/log", json=body, headers=headers)
        assert answer.json() == {"n": 1}


@pytest.mark.parametrize(
    ("body", "location"),
    [
        ({"queues": []}, "body.queues"),
        ({"queues": ["a"], "limit": 0}, "body.limit"),
        ({"queues": ["a"], "wait": 61}, "body.wait"),
        ({"queues": ["a"], "lease_seconds": 0}, "body.lease_seconds"),
        ({"queues": ["a"], "lease_seconds": 86_401}, "body.lease_seconds"),
        ({"queues": ["a"], "token": "x"}, "body.token"),
        ({"queues": ["a"], "worker": 1}, "body.worker"),
    ],
    ids=str,
)
def test_a_bad_value_is_located(hall: Hall, body: Json, location: str) -> None:
    found = problem(hall.api.post("/api/v1/claims", json=body), 422, "invalid-request")
    assert [error["location"] for error in found["errors"]] == [location]


# Tokens ---------------------------------------------------------------------------------------


def test_a_token_claims_only_from_its_queues(guarded: Hall, queue: str) -> None:
    client = guarded.service.client(token(guarded.conn, "work", queues=[queue]))
    enqueue(guarded.conn, queue=queue)
    (lease,) = claim(client, queue)
    assert client.post(
        f"/api/v1/jobs/{lease['id']}/complete", json={"token": lease["token"]}
    ).is_success
    body = {"queues": [queue, "other"]}
    problem(client.post("/api/v1/claims", json=body), 403, "forbidden")


def test_a_token_gives_back_only_jobs_of_its_queues(guarded: Hall, queue: str) -> None:
    enqueue(guarded.conn, queue=queue)
    everyone = guarded.service.client(token(guarded.conn, "work"))
    (lease,) = claim(everyone, queue)
    client = guarded.service.client(token(guarded.conn, "work", queues=["other"]))
    body = {"leases": [{"id": lease["id"], "token": lease["token"]}]}
    problem(client.post("/api/v1/releases", json=body), 404, "not-found")
    problem(
        client.post(f"/api/v1/jobs/{lease['id']}/complete", json={"token": lease["token"]}),
        404,
        "not-found",
    )


def test_a_claim_that_waits_ends_with_its_token(
    guarded: Hall, queue: str, background: ThreadPoolExecutor
) -> None:
    secret = token(guarded.conn, "work")
    client = guarded.service.client(secret)

    def ask() -> httpx.Response:
        return client.post("/api/v1/claims", json={"queues": [queue], "wait": 60})

    waiting = background.submit(ask)
    processes.wait(lambda: watches(guarded) > 0)
    guarded.conn.execute(
        "select pgq.revoke_token(id) from pgq.list_tokens() order by id desc limit 1"
    )
    processes.wait(lambda: client.get("/api/v1/jobs").status_code == 401)
    job = enqueue(guarded.conn, queue=queue)
    problem(waiting.result(processes.PATIENCE), 401, "unauthenticated")
    row = guarded.conn.execute("select state from pgq.get_job(%s)", [job]).fetchone()
    assert row == ("ready",)


# Waiting --------------------------------------------------------------------------------------


def test_a_job_can_be_waited_for(hall: Hall, queue: str, background: ThreadPoolExecutor) -> None:
    lease = running(hall, queue)
    waiting = background.submit(hall.api.get, f"/api/v1/jobs/{lease['id']}?wait=60")
    processes.wait(lambda: watches(hall) > 0)
    assert not waiting.done()
    do(hall, lease, "complete")
    assert waiting.result(processes.PATIENCE).json()["state"] == "succeeded"


def test_who_waits_is_told_in_time_that_the_job_goes_on(hall: Hall, queue: str) -> None:
    job = enqueue(hall.conn, queue=queue)
    assert hall.api.get(f"/api/v1/jobs/{job}?wait=1").json()["state"] == "ready"


def test_a_job_that_has_ended_is_not_waited_for(hall: Hall, queue: str) -> None:
    lease = running(hall, queue)
    do(hall, lease, "complete")
    answer = hall.api.get(f"/api/v1/jobs/{lease['id']}?wait=60", timeout=30)
    assert answer.json()["state"] == "succeeded"


def test_two_hundred_long_polls_share_their_queries(
    serve: Callable[..., Service], conn: psycopg.Connection[Any], background: ThreadPoolExecutor
) -> None:
    count_calls(conn)
    client = many(serve())
    jobs = [enqueue(conn) for _ in range(100)]
    waiting: list[Future[httpx.Response]] = [
        background.submit(client.get, f"/api/v1/jobs/{job}?wait=60") for job in jobs
    ]
    waiting += [
        background.submit(
            client.post, "/api/v1/claims", json={"queues": [f"empty-{n}"], "wait": 60}
        )
        for n in range(100)
    ]
    processes.wait(lambda: calls(conn, "watched") == 200)
    before = calls(conn, "n")
    processes.wait(lambda: calls(conn, "n") >= before + 5)
    row = conn.execute(
        "select min(watched), max(watched) from (select * from calls order by n desc limit 5) c"
    ).fetchone()
    assert row == (200, 200)
    for job in jobs:
        conn.execute("select pgq.cancel(%s)", [job])
    for n in range(100):
        enqueue(conn, queue=f"empty-{n}")
    assert all(each.result(processes.PATIENCE).status_code == 200 for each in waiting)


def test_a_client_that_goes_away_leaves_no_query_and_no_lease(
    serve: Callable[..., Service], conn: psycopg.Connection[Any]
) -> None:
    count_calls(conn)
    service = serve()
    client = httpx.Client(base_url=service.url, timeout=1)
    job = enqueue(conn, queue="later")
    with pytest.raises(httpx.ReadTimeout):
        client.post("/api/v1/claims", json={"queues": ["empty"], "wait": 60})
    with pytest.raises(httpx.ReadTimeout):
        client.get(f"/api/v1/jobs/{job}?wait=60")
    # Nobody is watched for any more: the next to come are alone.
    last = service.client()
    last.get(f"/api/v1/jobs/{job}?wait=1")
    assert calls(conn, "watched") == 1
    other = enqueue(conn, queue="empty")
    row = conn.execute("select state from pgq.get_job(%s)", [other]).fetchone()
    assert row == ("ready",)


def test_jobs_claimed_for_a_client_that_has_gone_are_given_back(
    serve: Callable[..., Service], conn: psycopg.Connection[Any], dsn: str
) -> None:
    slow_claims(conn)
    service = serve()
    job = enqueue(conn, queue="post")
    with psycopg.connect(dsn) as other:
        other.execute("select pg_advisory_xact_lock(1)")
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{service.url}/api/v1/claims", json={"queues": ["post"]}, timeout=1)
    has_released = "select n from pgq.stats() where queue = 'post' and label = 'running>ready'"
    processes.wait(lambda: conn.execute(has_released).fetchone() == (1,))
    row = conn.execute("select state, attempt from pgq.get_job(%s)", [job]).fetchone()
    assert row == ("ready", 0)


def test_jobs_claimed_with_a_token_of_the_clients_own_wait_for_it(
    serve: Callable[..., Service], conn: psycopg.Connection[Any], dsn: str
) -> None:
    slow_claims(conn)
    service = serve()
    job = enqueue(conn, queue="post")
    ours = str(uuid.uuid4())
    with psycopg.connect(dsn) as other:
        other.execute("select pg_advisory_xact_lock(1)")
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(
                f"{service.url}/api/v1/claims", json={"queues": ["post"], "token": ours}, timeout=1
            )
    (lease,) = claim(service.client(), "post", token=ours)
    assert (lease["id"], lease["token"]) == (job, ours)
    (again,) = claim(service.client(), "post", token=ours)
    assert again == lease


def test_long_polls_end_when_the_server_stops(
    serve: Callable[..., Service], conn: psycopg.Connection[Any], background: ThreadPoolExecutor
) -> None:
    count_calls(conn)
    service = serve()
    client = service.client()
    job = enqueue(conn)
    waiting = background.submit(client.get, f"/api/v1/jobs/{job}?wait=60")
    claiming = background.submit(
        client.post, "/api/v1/claims", json={"queues": ["empty"], "wait": 60}
    )
    processes.wait(lambda: calls(conn, "watched") == 2)
    assert service.stop() == 0
    assert waiting.result(processes.PATIENCE).json()["state"] == "ready"
    assert claiming.result(processes.PATIENCE).json() == {"items": []}


def many(service: Service) -> httpx.Client:
    """A client for hundreds of requests at a time."""
    return service.client(limits=httpx.Limits(max_connections=None))


def watches(hall: Hall) -> int:
    """Sessions of the server whose last statement was to watch."""
    row = hall.conn.execute(
        "select count(*) from pg_stat_activity where application_name = 'pgq server' "
        "and datname = current_database() and query like '%\"watch\"%'"
    ).fetchone()
    assert row
    return int(row[0])


def count_calls(conn: psycopg.Connection[Any]) -> None:
    """From now on the database writes down each call of `watch`, and for how many."""
    conn.execute(
        "create table calls (n bigint generated always as identity, "
        "at timestamptz default clock_timestamp(), watched integer)"
    )
    conn.execute("alter function pgq.watch rename to _watch_as_it_was")
    conn.execute(
        "create function pgq.watch(p_ids bigint[], p_queues text[]) "
        "returns table (id bigint, queue text) language sql security definer as $$ "
        "insert into public.calls (watched) values (cardinality(p_ids) + cardinality(p_queues)); "
        "select * from pgq._watch_as_it_was(p_ids, p_queues) $$"
    )


def calls(conn: psycopg.Connection[Any], what: str) -> int:
    """Of the last call."""
    row = conn.execute(f"select {what} from calls order by n desc limit 1").fetchone()
    return int(row[0]) if row else 0


def slow_claims(conn: psycopg.Connection[Any]) -> None:
    """From now on a claim waits while somebody has the advisory lock 1."""
    row = conn.execute(
        "select pg_get_function_arguments(p.oid), pg_get_function_result(p.oid), p.pronargs "
        "from pg_proc p where p.proname = 'claim' and p.pronamespace = 'pgq'::regnamespace"
    ).fetchone()
    assert row
    conn.execute("alter function pgq.claim rename to _claim_as_it_was")
    given = ", ".join(f"${n}" for n in range(1, row[2] + 1))
    conn.execute(
        f"create function pgq.claim({row[0]}) returns {row[1]} language sql security definer as $$ "
        f"select pg_advisory_xact_lock_shared(1); select * from pgq._claim_as_it_was({given}) $$"
    )


def test_one_request_that_waits_more_than_there_may_be_is_refused(
    serve: Callable[..., Service],
    conn: psycopg.Connection[Any],
    background: ThreadPoolExecutor,
) -> None:
    api = serve("--waiting", "1").client()
    jobs = [enqueue(conn), enqueue(conn)]
    asked = [background.submit(api.get, f"/api/v1/jobs/{job}", params={"wait": 60}) for job in jobs]
    (refused,), (waiting,) = futures.wait(asked, return_when=futures.FIRST_COMPLETED)
    answer = refused.result()
    problem(answer, 429, "too-many-requests")
    assert answer.headers["retry-after"]
    body = {"queues": ["empty"], "wait": 60}
    problem(api.post("/api/v1/claims", json=body), 429, "too-many-requests")
    assert api.get(f"/api/v1/jobs/{jobs[0]}").status_code == 200
    for job in jobs:
        conn.execute("select pgq.cancel(%s)", [job])
    assert waiting.result().json()["state"] == "cancelled"
    assert claim(api, "empty", wait=1) == []
