"""One trace from whoever asks for a job to what its handler does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from receiver import Span
from traced_jobs import CALLER, Hall

Run = Callable[..., Any]
JOBS = "/api/v1/jobs"


def of_message(span: Span) -> dict[str, Any]:
    """Its attributes that tell of a message."""
    return {name: value for name, value in span.attributes.items() if name.startswith("messaging.")}


@pytest.mark.parametrize("task", ["greet", "greet_in_thread"])
def test_from_a_request_through_the_job_to_the_handlers_own_span(
    hall: Hall, trace: str, parent: str, task: str
) -> None:
    headers = {"traceparent": parent, "tracestate": "shop=1"}
    job = hall.api.post(JOBS, json={"task": task}, headers=headers).json()["id"]

    served, sent, processed, greeted = hall.receiver.named(
        trace, f"POST {JOBS}", "send default", "process default", "greeting"
    )

    chain = [span.parent for span in (served, sent, processed, greeted)]
    assert chain == [CALLER, served.span_id, sent.span_id, processed.span_id]
    assert [span.kind for span in (served, sent, processed)] == ["SERVER", "PRODUCER", "CONSUMER"]
    assert (sent.links, processed.links) == ((), (sent.span_id,))
    assert {span.state for span in (served, sent, processed, greeted)} == {"shop=1"}
    assert not any(span.failed for span in (served, sent, processed))
    message = {
        "messaging.system": "pgq",
        "messaging.destination.name": "default",
        "messaging.message.id": str(job),
        "messaging.pgq.task": task,
    }
    operation = {"messaging.operation.name": "send", "messaging.operation.type": "send"}
    assert of_message(sent) == message | operation
    operation = {"messaging.operation.name": "process", "messaging.operation.type": "process"}
    most = hall.jobs.one("select max_attempts from pgq.get_job(%s)", job)
    assert of_message(processed) == message | operation | {
        "messaging.pgq.attempt": 1,
        "messaging.pgq.max_attempts": most,
        "messaging.pgq.outcome": "succeeded",
    }
    assert served.attributes == {
        "http.request.method": "POST",
        "http.response.status_code": 201,
        "http.route": JOBS,
        "url.path": JOBS,
        "url.scheme": "http",
    }
    assert served.resource["service.name"] == "pgq-server"
    assert processed.resource["service.name"] == "pgq-worker"


def test_from_a_python_program(hall: Hall, run: Run) -> None:
    calls = [
        "app.enqueue_sync('greet', {'name': 'ann'})",
        "app.tasks['greet'].enqueue_sync('ann')",
        "anyio.run(app.tasks['greet'].enqueue, 'ann')",
        "anyio.run(app.enqueue, 'greet')",
        "app.enqueue_sync('greet', unique_key='once')",
        "App().enqueue_sync('greet')",
    ]
    made = run(
        hall,
        "import anyio\nfrom pgq import App\nmade = []\n"
        + "".join(
            f"with span('buy') as bought:\n  job = {call}\n"
            "  made.append((f'{bought.get_span_context().trace_id:032x}', job.id))\n"
            for call in calls
        )
        + "print(json.dumps(made))",
    )
    assert len(made) == len(calls)
    for trace, job in made:
        bought, sent, processed, greeted = hall.receiver.named(
            trace, "buy", "send default", "process default", "greeting"
        )
        parents = [span.parent for span in (bought, sent, processed, greeted)]
        assert parents == ["", bought.span_id, sent.span_id, processed.span_id]
        assert sent.attributes["messaging.message.id"] == str(job)
        assert processed.attributes["messaging.message.id"] == str(job)
        assert sent.resource["service.name"] == "shop"


def test_many_at_once_are_sent_in_one_span(hall: Hall, run: Run) -> None:
    made = run(
        hall,
        "import anyio\nmade = []\nadd = app.tasks['add'].options(priority=3)\n"
        "for many in (add.enqueue_many_sync, add.options(unique_key=str).enqueue_many_sync,\n"
        "             lambda calls: anyio.run(add.enqueue_many, calls)):\n"
        "  with span('buy') as bought:\n    jobs = many([1, 2, 3])\n"
        "  trace = f'{bought.get_span_context().trace_id:032x}'\n"
        "  made.append((trace, [str(job.id) for job in jobs]))\n"
        "print(json.dumps(made))",
    )
    assert len(made) == 3
    for trace, jobs in made:
        (sent,) = hall.receiver.named(trace, "send default")
        processed = hall.receiver.named(trace, "process default", count=3)
        assert sent.attributes["messaging.batch.message_count"] == 3
        assert sent.kind == "PRODUCER"
        assert {span.parent for span in processed} == {sent.span_id}
        assert {span.attributes["messaging.message.id"] for span in processed} == set(jobs)


def test_batch_over_http_is_sent_in_one_span(hall: Hall, trace: str, parent: str) -> None:
    own = f"00-{trace}-{'1' * 16}-01"
    body = [
        {"task": "greet"},
        {"task": "greet", "queue": "mail", "headers": {"n": 12345678901234567890123}},
        {"task": "greet", "queue": "mail", "headers": {"traceparent": own, "n": 1}},
    ]
    made = hall.api.post(
        f"{JOBS}/batch", json={"jobs": body}, headers={"traceparent": parent}
    ).json()
    first, second, third = (item["id"] for item in made["items"])

    (sent,) = hall.receiver.named(trace, "send")

    assert sent.attributes["messaging.batch.message_count"] == 3
    assert sent.kind == "PRODUCER"
    assert sent.links == ("1" * 16,)
    assert "messaging.destination.name" not in sent.attributes
    parents = [hall.receiver.of(job).parent for job in (first, second, third)]
    assert parents == [sent.span_id, sent.span_id, "1" * 16]
    assert hall.jobs.headers(third) == {"traceparent": own, "n": 1}
    assert hall.jobs.headers(second)["n"] == 12345678901234567890123


def test_from_an_insert(hall: Hall, trace: str, parent: str) -> None:
    headers = {"traceparent": parent, "tracestate": "shop=1,other=2", "own": 1}
    job = hall.jobs.add(headers=headers)

    processed, greeted = hall.receiver.named(trace, "process default", "greeting")

    assert processed.parent == CALLER
    assert processed.links == (CALLER,)
    assert processed.state == "shop=1,other=2"
    assert greeted.parent == processed.span_id
    assert hall.jobs.headers(job) == headers


def test_each_attempt_is_a_span(hall: Hall, trace: str, parent: str) -> None:
    hall.jobs.add("fail_once", headers={"traceparent": parent})

    first, second = hall.receiver.named(trace, "process default", count=2)

    assert {span.parent for span in (first, second)} == {CALLER}
    attempts = [span.attributes["messaging.pgq.attempt"] for span in (first, second)]
    assert attempts == [1, 2]
    assert (first.failed, first.message) == (True, "the first time")
    assert first.attributes["error.type"] == "LookupError"
    assert first.attributes["messaging.pgq.outcome"] == "failed"
    ((event, told),) = first.events
    assert event == "exception"
    assert told["exception.type"] == "LookupError"
    assert told["exception.message"] == "the first time"
    assert "raise LookupError(message)" in told["exception.stacktrace"]
    assert (second.failed, second.events) == (False, ())
    assert second.attributes["messaging.pgq.outcome"] == "succeeded"


@pytest.mark.parametrize("task", ["pass_on", "pass_on_in_thread"])
def test_what_a_handler_enqueues_carries_its_trace_on(
    hall: Hall, trace: str, parent: str, task: str
) -> None:
    job = hall.jobs.add(task, headers={"traceparent": parent})

    hall.receiver.named(trace, "process default", count=2)
    (sent,) = hall.receiver.named(trace, "send default")

    assert sent.parent == hall.receiver.of(job).span_id
    assert hall.receiver.of(hall.jobs.last("greet")).parent == sent.span_id


def test_own_trace_of_a_job_is_kept_letter_by_letter(hall: Hall, trace: str, parent: str) -> None:
    own = f"00-{'a' * 32}-{'b' * 16}-01"
    body = f'{{"task": "greet", "headers": {{ "n": 1e400, "traceparent": "{own}"}}}}'
    headers = {"traceparent": parent, "Content-Type": "application/json"}
    job = hall.api.post(JOBS, content=body, headers=headers).json()["id"]

    (sent,) = hall.receiver.named(trace, "send default")
    processed = hall.receiver.of(job)

    assert (sent.kind, sent.links) == ("CLIENT", ("b" * 16,))
    assert (processed.trace_id, processed.parent) == ("a" * 32, "b" * 16)
    kept = hall.jobs.one("select headers::text from pgq.get_payload(%s)", job)
    assert kept == f'{{ "n": 1e400, "traceparent": "{own}"}}'


def malformed(trace: str) -> list[str]:
    """What is no `traceparent`."""
    return [
        "nonsense", "", f"00-{'0' * 32}-{CALLER}-01", f"00-{trace}-{'0' * 16}-01",
        f"ff-{trace}-{CALLER}-01", f"00-{'A' * 32}-{CALLER}-01", f"00-{trace}-{CALLER}-01-more",
        f"00-{trace}-{CALLER}", f"00-{trace}-{CALLER}-01{'x' * 5000}",
    ]  # fmt: skip


def test_malformed_traceparent_costs_no_job(hall: Hall, trace: str) -> None:
    for bad in malformed(trace):
        answer = hall.api.post(JOBS, json={"task": "greet"}, headers={"traceparent": bad})
        processed = hall.receiver.of(answer.json()["id"])
        assert processed.trace_id not in (trace, "0" * 32, "a" * 32)
    for bad in (*malformed(trace), 7, None, [f"00-{trace}-{CALLER}-01"]):
        job = hall.jobs.add(headers={"traceparent": bad})
        processed = hall.receiver.of(job)
        assert (processed.parent, processed.links) == ("", ())
        assert processed.trace_id != trace
        hall.jobs.wait(job)


def test_contradicting_traceparents_count_as_none(hall: Hall, trace: str, parent: str) -> None:
    headers = [("traceparent", parent), ("traceparent", parent.replace(CALLER, "1" * 16))]
    answer = hall.api.post(JOBS, json={"task": "greet"}, headers=headers)
    assert hall.receiver.of(answer.json()["id"]).trace_id != trace


def test_malformed_tracestate_costs_the_state_alone(hall: Hall, trace: str, parent: str) -> None:
    headers = {"traceparent": parent, "tracestate": "=;,"}
    job = hall.api.post(JOBS, json={"task": "greet"}, headers=headers).json()["id"]
    hall.jobs.add(headers={"traceparent": parent, "tracestate": {"a": 1}})

    processed = hall.receiver.named(trace, "process default", count=2)

    assert {span.state for span in processed} == {""}
    assert "tracestate" not in hall.jobs.headers(job)


def test_trace_that_is_not_sampled_makes_no_spans(hall: Hall, trace: str) -> None:
    headers = {"traceparent": f"00-{trace}-{CALLER}-00"}
    job = hall.api.post(JOBS, json={"task": "greet"}, headers=headers).json()["id"]
    hall.jobs.wait(job)
    hall.receiver.of(hall.api.post(JOBS, json={"task": "greet"}).json()["id"])

    assert trace not in {span.trace_id for span in hall.receiver.spans}
    stored = hall.jobs.headers(job)["traceparent"]
    assert stored.startswith(f"00-{trace}-")
    assert int(stored[-2:], 16) & 1 == 0


@pytest.mark.parametrize("path", ["/jobs", "/submit_job"])
def test_older_shapes_pass_the_trace_on(hall: Hall, trace: str, parent: str, path: str) -> None:
    body = {"type": "greet"} if path == "/jobs" else {"name": "greet", "payload": "ann"}
    answer = hall.api.post(path, json=body, headers={"traceparent": parent})
    assert answer.status_code == 201, answer.text
    hall.receiver.named(trace, "process default")


def test_refused_job_is_a_span_that_failed(hall: Hall, trace: str, parent: str) -> None:
    hall.jobs.one("select pgq.configure_queue('tight', p_payload_limit => 10)::text")
    body = {"task": "greet", "queue": "tight", "payload": "c4n4ry-7f3a"}
    answer = hall.api.post(JOBS, json=body, headers={"traceparent": parent})
    assert answer.status_code == 422, answer.text

    sent, served = hall.receiver.named(trace, "send tight", f"POST {JOBS}")

    assert (sent.failed, sent.attributes["error.type"]) == (True, "BadArgument")
    assert (served.failed, served.attributes["http.response.status_code"]) == (False, 422)


def test_only_requests_of_the_api_are_spans(hall: Hall, trace: str, parent: str) -> None:
    headers = {"traceparent": parent}
    for path in ("/healthz", "/metrics", "/ui", "/nothing", f"{JOBS}?limit=1"):
        hall.api.get(path, headers=headers, follow_redirects=True)

    hall.receiver.named(trace, f"GET {JOBS}")

    names = {span.name for span in hall.receiver.spans if span.trace_id == trace}
    assert names == {f"GET {JOBS}"}
