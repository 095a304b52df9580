"""Streams of events: what changes in the cluster, and logs as they are written."""

from __future__ import annotations

import json
import os
import socket
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import anyio
import httpx
import psycopg
import pytest
from serving import Hall, Service, claim, enqueue, problem, token
from starlette.requests import Request

import processes
from pgq_server.streams import BOUND, EventStream, Outlet, Streams

Conn = psycopg.Connection[Any]


@dataclass(frozen=True)
class Event:
    """A server-sent event."""

    name: str
    data: Any
    number: str | None


class Reader:
    """Reads a stream, in a thread of its own."""

    def __init__(self, client: httpx.Client, path: str, **headers: str) -> None:
        self.events: list[Event] = []
        self.comments = 0
        self._client = client
        self._answered: Future[httpx.Response] = Future()
        self._thread = threading.Thread(target=self._read, args=(path, headers))
        self._thread.start()

    @property
    def answer(self) -> httpx.Response:
        """Its head."""
        return self._answered.result(processes.PATIENCE)

    def named(self, name: str) -> list[Event]:
        """Its events of this name so far."""
        return [event for event in list(self.events) if event.name == name]

    def wait(self, is_so: Callable[[], object]) -> None:
        processes.wait(lambda: is_so() or not self._thread.is_alive())
        assert is_so(), self.events

    def ended(self) -> list[Event]:
        """Wait for the end of the stream, which is in good order."""
        self._thread.join(processes.PATIENCE)
        assert not self._thread.is_alive()
        self.answer.raise_for_status()
        assert self.is_whole
        return self.events

    def close(self) -> None:
        """Go away."""
        if self._answered.done():
            stream = self.answer.extensions["network_stream"]
            sock = stream.get_extra_info("socket")
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        self._thread.join(processes.PATIENCE)

    def _read(self, path: str, headers: dict[str, str]) -> None:
        self.is_whole = False
        try:
            with self._client.stream("GET", path, headers=headers) as answer:
                self._answered.set_result(answer)
                fields: dict[str, str] = {}
                for line in answer.iter_lines():
                    if line.startswith(":"):
                        self.comments += 1
                    elif line:
                        name, _, value = line.partition(": ")
                        fields[name] = value
                    elif "event" in fields:
                        event = Event(fields["event"], json.loads(fields["data"]), fields.get("id"))
                        self.events.append(event)
                        fields = {}
                self.is_whole = True
        except httpx.TransportError as error:
            if not self._answered.done():
                self._answered.set_exception(error)


@pytest.fixture
def read() -> Iterator[Callable[..., Reader]]:
    """Opens streams; they are closed after."""
    readers: list[Reader] = []

    def open_stream(client: httpx.Client, path: str, **headers: str) -> Reader:
        readers.append(
            Reader(
                client, path, **{name.replace("_", "-"): value for name, value in headers.items()}
            )
        )
        return readers[-1]

    yield open_stream
    for reader in readers:
        reader.close()


def many(service: Service) -> httpx.Client:
    """A client for many streams at a time."""
    return service.client(limits=httpx.Limits(max_connections=None))


@dataclass(frozen=True)
class Running:
    """A job that runs, and its log."""

    conn: Conn
    id: int
    token: str

    @property
    def path(self) -> str:
        """Of the stream of its log."""
        return f"/api/v1/jobs/{self.id}/logs/stream"

    def log(self, *messages: str) -> None:
        for message in messages:
            self.conn.execute("select pgq.log(%s, %s, %s)", [self.id, self.token, message])

    def fill(self, lines: int) -> None:
        """Many lines at once."""
        self.conn.execute(
            "select from pgq.log_many(array_fill(%s::bigint, array[%s]), "
            "array_fill(%s::uuid, array[%s]), "
            "array(select 'line ' || n from generate_series(1, %s) n))",
            [self.id, lines, self.token, lines, lines],
        )

    def complete(self) -> None:
        self.conn.execute("select pgq.complete(%s, %s)", [self.id, self.token])


def running(conn: Conn, queue: str | None = None) -> Running:
    queue = queue or f"q-{uuid.uuid4()}"
    enqueue(conn, queue=queue)
    ((job, token),) = claim(conn, queue)
    return Running(conn, job, token)


def messages(events: list[Event]) -> list[str]:
    return [event.data["message"] for event in events if event.name == "log"]


def numbers(events: list[Event]) -> list[int]:
    return [int(event.number or 0) for event in events if event.name == "log"]


# Logs -----------------------------------------------------------------------------------------


def test_lines_are_sent_as_they_are_written(hall: Hall, read: Callable[..., Reader]) -> None:
    job = running(hall.conn)
    job.log("begun")
    reader = read(hall.api, job.path)
    reader.wait(lambda: len(reader.events) == 1)
    assert reader.answer.headers["content-type"].startswith("text/event-stream")
    assert reader.answer.headers["cache-control"] == "no-store"
    job.log("half", "done")
    reader.wait(lambda: len(reader.events) == 3)
    job.complete()
    events = reader.ended()
    assert messages(events) == ["begun", "half", "done"]
    assert numbers(events) == [1, 2, 3]
    assert events[0].data["level"] == "info"
    assert events[0].data["at"].endswith("Z")
    assert (events[-1].name, events[-1].data) == ("end", {"state": "succeeded"})


def test_the_log_of_a_job_that_has_ended_is_sent_whole(
    hall: Hall, read: Callable[..., Reader]
) -> None:
    job = running(hall.conn)
    job.fill(3500)
    job.complete()
    events = read(hall.api, job.path).ended()
    assert numbers(events) == list(range(1, 3501))
    assert events[-1].name == "end"


@pytest.mark.parametrize("how", ["header", "query", "both"])
def test_a_stream_goes_on_after_the_last_line_that_was_seen(
    hall: Hall, read: Callable[..., Reader], how: str
) -> None:
    job = running(hall.conn)
    job.log("a", "b", "c")
    job.complete()
    path = {"header": "", "query": "?after=2", "both": "?after=1"}[how]
    headers = {} if how == "query" else {"Last_Event_ID": "2"}
    assert messages(read(hall.api, job.path + path, **headers).ended()) == ["c"]


def test_a_log_without_lines_ends_with_its_job(hall: Hall, read: Callable[..., Reader]) -> None:
    job = enqueue(hall.conn)
    reader = read(hall.api, f"/api/v1/jobs/{job}/logs/stream")
    hall.conn.execute("select pgq.cancel(%s)", [job])
    (event,) = reader.ended()
    assert (event.name, event.data) == ("end", {"state": "cancelled"})


def test_readers_of_one_log_get_what_each_of_them_lacks(
    hall: Hall, read: Callable[..., Reader]
) -> None:
    job = running(hall.conn)
    job.fill(2500)
    client = many(hall.service)
    readers = {after: read(client, f"{job.path}?after={after}") for after in (0, 1200, 2400, 2500)}
    job.log("more")
    job.complete()
    for after, reader in readers.items():
        assert numbers(reader.ended()) == list(range(after + 1, 2502))


def test_a_log_that_is_far_behind_holds_up_no_other(
    hall: Hall, read: Callable[..., Reader]
) -> None:
    client = many(hall.service)
    jobs = [running(hall.conn) for _ in range(5)]
    jobs[0].fill(9000)
    readers = [read(client, job.path) for job in jobs]
    for job in jobs[1:]:
        job.log("here")
    for job in jobs:
        job.complete()
    assert len(numbers(readers[0].ended())) == 9000
    for reader in readers[1:]:
        assert messages(reader.ended()) == ["here"]


def test_the_log_of_an_unknown_job_is_404(hall: Hall) -> None:
    problem(hall.api.get("/api/v1/jobs/7/logs/stream"), 404, "not-found")


def test_an_id_that_is_no_line_is_refused(hall: Hall) -> None:
    job = running(hall.conn)
    answer = hall.api.get(job.path, headers={"Last-Event-ID": "x"})
    found = problem(answer, 422, "invalid-request")
    assert [error["location"] for error in found["errors"]] == ["header.Last-Event-ID"]


def test_a_stream_goes_on_at_another_replica_when_its_server_stops(
    serve: Callable[..., Service], conn: Conn, read: Callable[..., Reader]
) -> None:
    one, other = serve(), serve()
    job = running(conn)
    job.log("a", "b")
    first = read(one.client(), job.path)
    first.wait(lambda: len(first.events) == 2)
    assert one.stop() == 0
    seen = first.ended()
    assert not first.named("end")
    job.log("c")
    job.complete()
    rest = read(other.client(), job.path, Last_Event_ID=seen[-1].number).ended()
    assert messages(seen + rest) == ["a", "b", "c"]


def test_no_line_is_lost_or_repeated_over_restarts_in_its_midst(
    serve: Callable[..., Service], conn: Conn, dsn: str, read: Callable[..., Reader]
) -> None:
    job = running(conn)
    stop = threading.Event()

    def write() -> None:
        with psycopg.connect(dsn, autocommit=True) as other:
            writer = Running(other, job.id, job.token)
            n = 0
            while not stop.is_set():
                n += 1
                writer.log(f"line {n}")
            writer.complete()

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        try:
            seen: list[Event] = []
            for number in (2, 9, 15):
                service = serve()
                last = seen[-1].number if seen else "0"
                reader = read(service.client(), job.path, Last_Event_ID=last)
                before = len(reader.events)
                reader.wait(lambda reader=reader, most=before + 20: len(reader.events) > most)
                service.command.process.send_signal(number)
                reader.close()
                service.command.ended()
                seen += reader.events
        finally:
            stop.set()
        writing.result()
    rest = read(serve().client(), job.path, Last_Event_ID=seen[-1].number).ended()
    assert rest[-1].name == "end"
    found = numbers(seen + rest)
    assert found == list(range(1, found[-1] + 1))
    row = conn.execute(
        "select max(n) from pgq.list_logs(%s, %s)", [job.id, found[-1] - 1]
    ).fetchone()
    assert row == (found[-1],)


def test_a_hundred_streams_of_logs_share_their_queries(
    serve: Callable[..., Service], conn: Conn, read: Callable[..., Reader]
) -> None:
    count_calls(conn, "tail_logs", "bigint[], integer[], integer", "cardinality($1)")
    client = many(serve())
    jobs = [running(conn) for _ in range(100)]
    readers = [read(client, job.path) for job in jobs]
    processes.wait(lambda: last_call(conn) == 100)
    for job in jobs:
        job.log("here")
        job.complete()
    for reader in readers:
        assert messages(reader.ended()) == ["here"]


# Cluster --------------------------------------------------------------------------------------


def counts(events: list[Event]) -> dict[tuple[Any, ...], int]:
    """What a listener knows."""
    known: dict[tuple[Any, ...], int] = {}
    for event in events:
        if event.name == "snapshot":
            known.clear()
        for row in event.data["items"]:
            known[row["queue"], row["metric"], row["label"], row["bucket"]] = row["n"]
    return known


def test_listeners_get_a_snapshot_and_then_what_changes(
    hall: Hall, read: Callable[..., Reader]
) -> None:
    queue, idle = f"q-{uuid.uuid4()}", f"q-{uuid.uuid4()}"
    enqueue(hall.conn, queue=idle)
    reader = read(hall.api, "/api/v1/events")
    reader.wait(lambda: reader.events)
    label = label_of(hall.conn, idle)
    assert [event.name for event in reader.events] == ["snapshot"]
    made = (queue, "transition", label, None)
    enqueue(hall.conn, queue=queue)
    reader.wait(lambda: counts(reader.events).get(made) == 1)
    enqueue(hall.conn, queue=queue)
    reader.wait(lambda: counts(reader.events).get(made) == 2)
    changes = reader.named("change")
    assert {row["queue"] for event in changes for row in event.data["items"]} == {queue}
    assert len({event.number for event in reader.events}) == len(reader.events)


def label_of(conn: Conn, queue: str) -> str:
    """How a new job is counted."""
    row = conn.execute(
        "select label from pgq.stats() where queue = %s and metric = 'transition'", [queue]
    ).fetchone()
    assert row
    return str(row[0])


def test_who_comes_back_gets_a_snapshot(hall: Hall, read: Callable[..., Reader]) -> None:
    queue = f"q-{uuid.uuid4()}"
    client = many(hall.service)
    first = read(client, "/api/v1/events")
    first.wait(lambda: first.events)
    first.close()
    enqueue(hall.conn, queue=queue)
    again = read(client, "/api/v1/events", Last_Event_ID=first.events[-1].number)
    again.wait(lambda: again.events)
    assert again.events[0].name == "snapshot"
    again.wait(lambda: any(key[0] == queue for key in counts(again.events)))


def test_a_token_hears_only_of_its_queues(guarded: Hall, read: Callable[..., Reader]) -> None:
    queue, other = f"q-{uuid.uuid4()}", f"q-{uuid.uuid4()}"
    enqueue(guarded.conn, queue=other)
    client = guarded.service.client(token(guarded.conn, "view", queues=[queue]))
    reader = read(client, "/api/v1/events")
    reader.wait(lambda: reader.events)
    enqueue(guarded.conn, queue=other)
    enqueue(guarded.conn, queue=queue)
    reader.wait(lambda: reader.named("change"))
    assert {key[0] for key in counts(reader.events)} == {queue}


def test_streams_end_when_their_token_is_revoked(
    guarded: Hall, read: Callable[..., Reader]
) -> None:
    client = many(guarded.service)
    secret = token(guarded.conn, "view")
    client.headers["Authorization"] = f"Bearer {secret}"
    readers = [read(client, "/api/v1/events"), read(client, running(guarded.conn).path)]
    readers[0].wait(lambda: readers[0].events)
    assert readers[1].answer.status_code == 200
    guarded.conn.execute(
        "select pgq.revoke_token(id) from pgq.list_tokens() order by id desc limit 1"
    )
    for reader in readers:
        assert not [event for event in reader.ended() if event.name == "end"]


def test_streams_survive_an_outage_of_the_database(
    serve: Callable[..., Service], conn: Conn, read: Callable[..., Reader]
) -> None:
    client = many(serve())
    job = running(conn)
    reader, log = read(client, "/api/v1/events"), read(client, job.path)
    reader.wait(lambda: reader.events)
    log.answer.raise_for_status()
    for _ in range(3):
        conn.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity "
            "where application_name = 'pgq server' and datname = current_database()"
        )
    enqueue(conn, queue="later")
    job.log("still here")
    reader.wait(lambda: any(key[0] == "later" for key in counts(reader.events)))
    log.wait(lambda: messages(log.events) == ["still here"])


def test_a_hundred_listeners_cost_as_many_queries_as_one(
    serve: Callable[..., Service], conn: Conn, read: Callable[..., Reader]
) -> None:
    count_calls(conn, "stats", "", "0")
    client = many(serve())
    readers = [read(client, "/api/v1/events") for _ in range(100)]
    for reader in readers:
        reader.wait(lambda reader=reader: reader.events)
    before = asked(conn)
    enqueue(conn, queue="seen")
    for reader in readers:
        reader.wait(lambda reader=reader: reader.named("change"))
    assert asked(conn) - before <= 3


def test_nobody_is_asked_when_nobody_listens(
    serve: Callable[..., Service], conn: Conn, read: Callable[..., Reader]
) -> None:
    count_calls(conn, "stats", "", "0")
    service = serve()
    reader = read(service.client(), "/api/v1/events")
    reader.wait(lambda: reader.events)
    reader.close()
    descriptors = Path(f"/proc/{service.command.process.pid}/fd")

    def is_at_rest() -> bool:
        found = asked(conn)
        service.client().get("/healthz")
        processes.wait(lambda: idle_for(conn) > 2.5)
        return asked(conn) == found

    processes.wait(is_at_rest)
    assert len(os.listdir(descriptors)) < 40


def test_streams_that_are_left_leave_nothing_behind(
    serve: Callable[..., Service], conn: Conn, read: Callable[..., Reader]
) -> None:
    service = serve()
    job = running(conn)
    descriptors = Path(f"/proc/{service.command.process.pid}/fd")
    service.client().get("/readyz")
    before = len(os.listdir(descriptors))
    client = many(service)
    readers = [read(client, path) for path in ("/api/v1/events", job.path) for _ in range(20)]
    for reader in readers:
        assert reader.answer.status_code == 200
    assert len(os.listdir(descriptors)) >= before + 40
    for reader in readers:
        reader.close()
    # What stays open are sessions with the database, as many as ever worked at a time.
    processes.wait(lambda: len(os.listdir(descriptors)) <= before + 12)


def test_a_stream_that_nobody_reads_ends_in_good_order(
    serve: Callable[..., Service], conn: Conn, read: Callable[..., Reader]
) -> None:
    # A snapshot of ten megabytes is more than the systems between take.
    conn.execute(
        "insert into pgq.counter (queue, metric, label, n, sum) "
        "select 'queue ' || n, 'transition', repeat('x', 180), 1, 1 "
        "from generate_series(1, 40000) n"
    )
    service = serve()
    host, _, port = service.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port))) as sock:
        sock.sendall(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        other = read(service.client(), "/api/v1/events")

        def is_too_much() -> bool:
            enqueue(conn, queue="busy")
            return len(other.named("change")) > BOUND + 2

        other.wait(is_too_much)
        sock.settimeout(processes.PATIENCE)
        end = b""
        with suppress(ConnectionResetError):  # a machine so slow that it was dropped before
            while not end.endswith(b"\r\n0\r\n\r\n"):
                part = sock.recv(1_000_000)
                assert part, f"it was cut off: {end!r}"
                end = (end + part)[-100:]
    assert service.client().get("/readyz").is_success
    other.close()
    assert service.stop() == 0
    assert service.command.output.count("\n") == 1, service.command.output


@pytest.mark.anyio
async def test_a_reader_that_takes_nothing_gets_the_end_when_it_does() -> None:
    takes = anyio.Event()
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)
        if message["type"] == "http.response.body":
            await takes.wait()

    @contextmanager
    def source(outlet: Outlet) -> Iterator[None]:
        for n in range(BOUND + 5):
            outlet.put(b"%d" % n)
        takes.set()
        yield

    request = Request({"type": "http", "headers": []})
    stream = EventStream(request, Streams(Mock(), most=1), source)
    await stream({}, anyio.sleep_forever, send)
    assert [message["body"] for message in sent[2:]] == [*(b"%d" % n for n in range(BOUND)), b""]
    assert sent[-1]["more_body"] is False


@pytest.mark.parametrize("path", ["/api/v1/events", "/api/v1/jobs/{}/logs/stream"])
def test_one_stream_more_than_there_may_be_is_refused(
    serve: Callable[..., Service], conn: Conn, read: Callable[..., Reader], path: str
) -> None:
    service = serve("--waiting", "1")
    client = many(service)
    first = read(client, "/api/v1/events")
    first.wait(lambda: first.events)
    answer = client.get(path.format(enqueue(conn)))
    problem(answer, 429, "too-many-requests")
    assert answer.headers["retry-after"]
    first.close()
    processes.wait(lambda: not is_refused(client))


def is_refused(client: httpx.Client) -> bool:
    with client.stream("GET", "/api/v1/events") as answer:
        return answer.status_code == 429


def test_streams_are_no_answer_to_head(hall: Hall) -> None:
    answer = hall.api.head("/api/v1/events")
    assert (answer.status_code, answer.content) == (200, b"")


def count_calls(conn: Conn, verb: str, types: str, what: str) -> None:
    """From now on the database writes down each call of a verb."""
    conn.execute(
        "create table calls (n bigint generated always as identity, "
        "at timestamptz default clock_timestamp(), what integer)"
    )
    row = conn.execute(
        "select pg_get_function_arguments(p.oid), pg_get_function_result(p.oid) from pg_proc p "
        "where p.oid = %s::regprocedure",
        [f"pgq.{verb}({types})"],
    ).fetchone()
    assert row
    conn.execute(f"alter function pgq.{verb}({types}) rename to _as_it_was")
    given = ", ".join(f"${n}" for n in range(1, types.count(",") + 2)) if types else ""
    conn.execute(
        f"create function pgq.{verb}({row[0]}) returns {row[1]} language sql security definer "
        f"as $$ insert into public.calls (what) values ({what}); "
        f"select * from pgq._as_it_was({given}) $$"
    )


def asked(conn: Conn) -> int:
    row = conn.execute("select count(*) from calls").fetchone()
    assert row
    return int(row[0])


def last_call(conn: Conn) -> int:
    row = conn.execute("select what from calls order by n desc limit 1").fetchone()
    return int(row[0]) if row else 0


def idle_for(conn: Conn) -> float:
    """Seconds since the last call."""
    row = conn.execute(
        "select extract(epoch from clock_timestamp() - max(at))::float from calls"
    ).fetchone()
    assert row
    return float(row[0])
