"""HTTP itself: methods, heads, hosts of TLS, databases that are away, and ends in good order."""

from __future__ import annotations

import signal
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psycopg
from serving import Hall, Service, enqueue, problem, serving

import processes
from pgq import schema
from pgq.postgres import Postgres

JOBS = "/api/v1/jobs"


def test_another_method_is_refused_and_those_that_work_are_told(hall: Hall) -> None:
    answer = hall.api.put(JOBS, json={})
    problem(answer, 405, "method-not-allowed")
    assert answer.headers["allow"] == "GET, HEAD, OPTIONS, POST"


def test_options_tells_what_works(hall: Hall) -> None:
    answer = hall.api.options(f"{JOBS}/7/cancel")
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["allow"] == "OPTIONS, POST"
    assert "access-control-allow-origin" not in answer.headers


def test_a_path_that_is_not_there_is_a_problem(hall: Hall) -> None:
    for path in ("/nothing", "/api/v1/nothing", "/api/v1/jobs/", "/api/v2/jobs"):
        problem(hall.api.get(path), 404, "not-found")


def test_head_is_get_without_the_body(hall: Hall) -> None:
    job = enqueue(hall.conn)
    whole, head = (hall.api.request(method, f"{JOBS}/{job}") for method in ("GET", "HEAD"))
    assert head.content == b""
    for name in ("content-length", "content-type", "etag"):
        assert head.headers[name] == whole.headers[name]
    missing = hall.api.head(f"{JOBS}/7")
    assert (missing.status_code, missing.content) == (404, b"")


def test_a_body_where_none_is_taken_is_refused(hall: Hall) -> None:
    answer = hall.api.request("GET", JOBS, content=b"{}")
    problem(answer, 422, "invalid-request")


def test_answers_are_not_kept_or_guessed_at(hall: Hall) -> None:
    answer = hall.api.get(JOBS)
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "server" not in answer.headers


def test_a_connection_serves_many_requests(hall: Hall) -> None:
    with hall.service.client() as client:
        problem(client.post(JOBS, json={}), 422, "invalid-request")
        assert client.post(JOBS, json={"task": "a"}).status_code == 201
        assert client.get(JOBS).status_code == 200


def test_it_works_without_the_database_as_far_as_it_can(
    private_server: Postgres, tmp_path: Path
) -> None:
    schema.migrate(private_server.dsn)
    with serving(tmp_path, private_server.dsn) as service:
        client = service.client()
        assert client.get("/readyz").status_code == 200
        private_server.stop("immediate")
        for path in ("/readyz", "/api/v1/queues"):
            answer = client.get(path)
            problem(answer, 503, "unavailable")
            assert answer.headers["retry-after"]
        assert client.get("/healthz").status_code == 200
        private_server.start()
        processes.wait(lambda: client.get("/readyz").status_code == 200)
        assert "Traceback" not in service.command.output


def test_a_request_in_flight_is_answered_before_the_server_ends(
    service: Service, conn: psycopg.Connection[Any], dsn: str
) -> None:
    answers: list[httpx.Response] = []
    client = service.client()
    with psycopg.connect(dsn) as other:
        other.execute("select pgq.enqueue('slow', p_unique_key => 'slow')")
        job = {"task": "slow", "unique_key": "slow"}
        first = threading.Thread(target=lambda: answers.append(client.post(JOBS, json=job)))
        first.start()
        waiting = "select from pg_stat_activity where wait_event_type = 'Lock'"
        processes.wait(lambda: conn.execute(waiting).fetchall())
        service.command.process.send_signal(signal.SIGTERM)
        processes.wait(lambda: _refuses(service))
        other.rollback()
    first.join()
    assert answers[0].status_code == 201
    assert service.command.ended() == 0


def _refuses(service: Service) -> bool:
    try:
        httpx.get(f"{service.url}/healthz")
    except httpx.TransportError:
        return True
    return False


def test_a_second_signal_ends_it_at_once(
    service: Service, conn: psycopg.Connection[Any], dsn: str
) -> None:
    client = service.client()

    def post() -> None:
        with suppress(httpx.TransportError):
            client.post(JOBS, json={"task": "slow", "unique_key": "slow"})

    with psycopg.connect(dsn) as other:
        other.execute("select pgq.enqueue('slow', p_unique_key => 'slow')")
        thread = threading.Thread(target=post)
        thread.start()
        waiting = "select from pg_stat_activity where wait_event_type = 'Lock'"
        processes.wait(lambda: conn.execute(waiting).fetchall())
        service.command.process.send_signal(signal.SIGTERM)
        processes.wait(lambda: _refuses(service))
        assert service.stop() == 0
        thread.join()
