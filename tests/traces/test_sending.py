"""What OpenTelemetry may not cost: jobs, time at the end, secrets; and doing without it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from psycopg.conninfo import make_conninfo
from receiver import Receiver
from traced_jobs import CALLER, Jobs, lines

import processes
from processes import Command

Start = Callable[..., Command]
JOBS = "/api/v1/jobs"
CANARY = "c4n4ry-7f3a"
LATE = {"OTEL_BSP_SCHEDULE_DELAY": "600000"}
"""Has a program send its spans when it ends, and no sooner."""


def stop(command: Command) -> None:
    """Tell it to stop, and see it end in good order."""
    command.process.terminate()
    assert command.ended() == 0, command.output


def without_otel(folder: Path) -> dict[str, str]:
    """An environment in which OpenTelemetry is not installed, as far as Python can see."""
    package = folder / "hidden" / "opentelemetry"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise ImportError('not installed')\n")
    here = str(Path(__file__).parent)
    return {"PYTHONPATH": f"{package.parent}{os.pathsep}{here}"}


def test_last_spans_of_a_worker_are_sent_before_it_ends(
    worker: Start, receiver: Receiver, jobs: Jobs
) -> None:
    started = worker(**LATE)
    job = jobs.add()
    jobs.wait(job)
    assert receiver.spans == []
    stop(started)
    assert receiver.of(job).resource["service.name"] == "pgq-worker"


def test_last_spans_of_a_server_are_sent_before_it_ends(start: Start, receiver: Receiver) -> None:
    server = start("server", "--port", "0", **{**receiver.environment, **LATE})
    url = server.said(r"pgq serves (\S+)/\n")[1]
    assert httpx.get(f"{url}{JOBS}", timeout=processes.PATIENCE).status_code == 200
    assert receiver.spans == []
    stop(server)
    assert [span.name for span in receiver.spans] == [f"GET {JOBS}"]


@pytest.mark.parametrize("what", ["refuses", "hangs"])
def test_receiver_that_is_down_disturbs_no_job(
    worker: Start, receiver: Receiver, jobs: Jobs, what: str
) -> None:
    receiver.hangs.set()
    nobody = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"} if what == "refuses" else {}
    started = worker("--grace", "3", **nobody)
    made = [jobs.add(), jobs.add("greet_in_thread"), jobs.add("fail_once")]
    for job in made:
        jobs.wait(job)
    if what == "hangs":
        processes.wait(lambda: receiver.requests)
    waiting = jobs.add()
    jobs.wait(waiting)

    stop(started)

    assert jobs.one("select state from pgq.list_workers()") == "offline"
    assert lines(started, "stopped")
    # Its process ended by itself, rather than being killed when its time was up.
    assert not lines(started, "ended by signal")


def test_what_an_app_has_set_up_is_left_as_it_is(
    worker: Start, receiver: Receiver, jobs: Jobs
) -> None:
    started = worker(app="set_up:app", **LATE)
    job = jobs.add()
    jobs.wait(job)
    stop(started)
    assert receiver.of(job).resource["service.name"] == "shop"


def test_environment_names_the_service(worker: Start, receiver: Receiver, jobs: Jobs) -> None:
    worker(OTEL_SERVICE_NAME="mailer", OTEL_RESOURCE_ATTRIBUTES="deployment.environment.name=test")
    resource = receiver.of(jobs.add()).resource
    assert resource["service.name"] == "mailer"
    assert resource["deployment.environment.name"] == "test"
    assert resource["service.version"]


def test_without_the_extra_the_trace_travels_all_the_same(
    start: Start, jobs: Jobs, receiver: Receiver, tmp_path: Path, trace: str, parent: str
) -> None:
    bare = {**without_otel(tmp_path), **receiver.environment}
    worker = start("worker", "-a", "traced:app", **bare)
    server = start("server", "--port", "0", **bare)
    url = server.said(r"pgq serves (\S+)/\n")[1]
    headers = {"traceparent": parent, "tracestate": "shop=1"}
    answer = httpx.post(
        f"{url}{JOBS}", json={"task": "pass_on"}, headers=headers, timeout=processes.PATIENCE
    )
    job = answer.json()["id"]
    jobs.wait(job)
    assert jobs.headers(job) == headers
    passed = jobs.last("greet")
    jobs.wait(passed)
    assert jobs.headers(passed) == headers
    processes.wait(lambda: lines(worker, "hello"))
    (said,) = lines(worker, "hello")
    assert (said["job"], said["trace_id"], said["span_id"]) == (passed, trace, CALLER)
    for command in (worker, server):
        (warned,) = lines(command, "no spans are sent")
        assert "pip install 'pgq-service[otel]'" in warned["message"]
    assert receiver.requests == 0


def test_only_what_the_receiver_speaks_is_tried(
    worker: Start, receiver: Receiver, jobs: Jobs
) -> None:
    started = worker(OTEL_EXPORTER_OTLP_PROTOCOL="grpc")
    jobs.wait(jobs.add())
    (warned,) = lines(started, "no spans are sent")
    assert "only http/protobuf" in warned["message"]
    assert receiver.requests == 0


def test_nothing_of_opentelemetry_is_loaded_that_nobody_asked_for() -> None:
    program = (
        "import sys, pgq, pgq.cli.enqueue, pgq_server.command, pgq_worker.child\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_each_line_about_a_job_tells_it_and_its_trace(
    worker: Start, receiver: Receiver, jobs: Jobs, trace: str, parent: str
) -> None:
    started = worker()
    greeted = jobs.add(headers={"traceparent": parent})
    (greeting,) = receiver.named(trace, "greeting")
    failed = jobs.add("fail_once", {"message": "as asked"}, max_attempts=1)
    receiver.of(failed)
    jobs.wait(failed, "dead")
    lost = jobs.add("die", headers={"traceparent": parent}, max_attempts=1)
    jobs.wait(lost, "dead")
    late = jobs.add("spin", timeout="0.2 s", headers={"traceparent": parent}, max_attempts=1)
    jobs.wait(late, "dead")
    wanted = {
        "hello": (greeted, "greet", 1, trace, greeting.span_id),
        "failed: LookupError": (failed, "fail_once", 1, receiver.of(failed).trace_id, None),
        "dead: as asked": (failed, "fail_once", 1, receiver.of(failed).trace_id, None),
        "the process that held it died": (lost, "die", 1, trace, CALLER),
        "it ignored its timeout": (late, "spin", 1, trace, CALLER),
    }
    for message, (job, task, attempt, trace_id, span_id) in wanted.items():
        processes.wait(lambda text=message: lines(started, text))
        said = lines(started, message)[0]
        assert (said["job"], said["task"], said["attempt"]) == (job, task, attempt), message
        assert said["trace_id"] == trace_id, message
        assert said["span_id"] == (span_id or receiver.of(job).span_id), message


def test_no_secret_is_in_a_line_or_a_span(
    start: Start, receiver: Receiver, jobs: Jobs, dsn: str
) -> None:
    environment = {
        **receiver.environment,
        "DATABASE_URL": make_conninfo(dsn, password=f"{CANARY}-dsn"),
        "OTEL_EXPORTER_OTLP_HEADERS": f"api-key={CANARY}-key,bad={CANARY}\x7f,{CANARY}-alone",
        "PGQ_LOG_LEVEL": "debug",
    }
    worker = start("worker", "-a", "traced:app", **environment)
    told = jobs.add("greet", {"name": f"{CANARY}-payload"})
    jobs.wait(told)
    assert CANARY in json.dumps(jobs.one("select result from pgq.get_payload(%s)", told))
    unreadable = jobs.add("add", {"number": f"{CANARY}-argument"})
    jobs.wait(unreadable, "dead")
    token = f"pgq_{'c4n4ry' * 7}x"
    failed = jobs.add("fail_once", {"message": f"password={CANARY}-dsn {token}"}, max_attempts=1)
    jobs.wait(failed, "dead")
    receiver.of(told)
    assert receiver.of(failed).message == "password=*** pgq_***"
    assert receiver.of(unreadable).attributes["error.type"] == "TaskError"
    stop(worker)
    assert lines(worker, "failed: LookupError")
    assert CANARY not in worker.output
    assert token not in worker.output
    assert CANARY.encode() not in receiver.text
    assert token.encode() not in receiver.text
