"""Secrets stay where they were put, and names are data."""

from __future__ import annotations

import base64
import os
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from serving import Hall, Service, bury, claim, enqueue, problem, serving, token

CANARY = "c4n4ry-7f3a"
JOBS = "/api/v1/jobs"


@pytest.fixture
def watched(dsn: str, tmp_path: Path) -> Iterator[Service]:
    """A server that says all it has to say, with a secret in its connection string."""
    secret = make_conninfo(dsn, password=f"{CANARY}-dsn")
    with serving(tmp_path / "watched", secret, "--require-token", PGQ_LOG_LEVEL="debug") as service:
        yield service


def test_no_secret_is_in_a_log_or_a_problem(
    watched: Service, conn: psycopg.Connection[Any]
) -> None:
    secret = token(conn, "admin")
    client = watched.client(secret)
    canary = {"password": f"{CANARY}-payload"}
    said: list[str] = []

    def refuse(answer: httpx.Response) -> None:
        assert answer.is_error, answer.text
        said.append(answer.text + str(answer.headers))

    job = client.post(JOBS, json={"task": "mail", "payload": canary}).json()["id"]
    bury(conn, job, "default", f"{CANARY}-error")
    other = enqueue(conn, queue="results")
    ((_, lease),) = claim(conn, "results")
    conn.execute("select pgq.complete(%s, %s, %s)", [other, lease, f'"{CANARY}-result"'])
    refuse(client.post(JOBS, json={"task": "x", "priority": "high", "payload": canary}))
    refuse(client.post(JOBS, json={"task": "x", "run_at": "now", "headers": [CANARY]}))
    refuse(client.post(JOBS, json={"task": "x", "headers": CANARY, "password": CANARY}))
    refuse(client.post(f"{JOBS}/{job}/complete", json={"token": CANARY, "result": CANARY}))
    refuse(client.post(JOBS, content=f'{{"task": {CANARY}', headers={"Content-Type": "text/json"}))
    refuse(client.post(JOBS, content=f'{{"task": {CANARY}', headers=_JSON))
    refuse(client.post(f"{JOBS}/batch", json={"jobs": [{"task": 1, "payload": CANARY}]}))
    conn.execute("select pgq.configure_queue('tight', p_payload_limit => 10)")
    refuse(client.post(JOBS, json={"task": "x", "queue": "tight", "payload": canary}))
    refuse(client.post(f"{JOBS}/{other}/retry", json={"payload": canary}))
    refuse(client.get(JOBS, params={"payload": f"password:{CANARY}", "limit": "many"}))
    refuse(client.get(JOBS, params={"cursor": CANARY}))
    refuse(client.get("/nothing", params={"token": CANARY}))
    for bad in (f"pgq_{CANARY}", f"pgq_{CANARY}{'x' * (43 - len(CANARY))}", f"{CANARY} {CANARY}"):
        refuse(client.get(JOBS, headers={"Authorization": f"Bearer {bad}"}))
        refuse(client.get(JOBS, headers={"Authorization": "", "Cookie": f"__Host-pgq={bad}"}))
    conn.execute("drop schema pgq cascade")
    refuse(client.post(JOBS, json={"task": "mail", "payload": canary}))
    everything = "\n".join([*said, watched.command.output])
    assert CANARY not in everything
    assert secret not in everything
    assert len(said) > 10


_JSON = {"Content-Type": "application/json"}


def test_an_error_that_nobody_foresaw_is_told_without_its_words(
    watched: Service, conn: psycopg.Connection[Any]
) -> None:
    conn.execute(
        f"create or replace function pgq.get_payload(p_id bigint) "
        f"returns table (payload json, headers json, result json) language plpgsql as "
        f"$$ begin raise exception '{CANARY}' using detail = '{CANARY}', hint = '{CANARY}'; end $$"
    )
    client = watched.client(token(conn, "admin"))
    answer = client.get(f"{JOBS}/7/payload")
    problem(answer, 500, "internal")
    assert "get_payload" not in answer.text
    assert "RaiseException" in watched.command.output
    assert CANARY not in answer.text + watched.command.output


def test_who_may_only_look_sees_no_secrets(guarded: Hall) -> None:
    payload = f'{{"user": {{"apiKey": "{CANARY}", "name": "ada", "n": 1.10}}}}'
    job = enqueue(guarded.conn, queue="masked", payload=payload, headers=f'{{"token": "{CANARY}"}}')
    ((_, lease),) = claim(guarded.conn, "masked")
    result = f'[{{"secret": "{CANARY}"}}]'
    guarded.conn.execute("select pgq.complete(%s, %s, %s)", [job, lease, result])
    looker = guarded.service.client(token(guarded.conn, "view"))
    seen = looker.get(f"{JOBS}/{job}/payload").text
    assert CANARY not in seen
    assert "ada" in seen
    assert "1.10" in seen
    for part in ("", "/attempts", "/logs", "/events", "/explain"):
        assert CANARY not in looker.get(f"{JOBS}/{job}{part}").text
    guess = looker.get(JOBS, params={"payload": f"user.apiKey:{CANARY}"})
    problem(guess, 403, "forbidden")
    for scope in ("enqueue", "operate"):
        whole = guarded.service.client(token(guarded.conn, scope)).get(f"{JOBS}/{job}/payload")
        assert whole.text.count(CANARY) == 3


class _Opened:
    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return (os.remove, ("nothing",))


NAMES = [
    "os.remove", "__import__('os').system('id')", "-x", "--help", ";", "; select 1", "$(id)",
    "`id`", "'; drop table pgq.job; --", "$$; drop schema pgq cascade; $$", "%s", "%(name)s", "?",
    "{0}", "{{7*7}}", "../../etc/passwd", "a\nb", "<script>",
    base64.b64encode(pickle.dumps(_Opened())).decode(),
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_data(hall: Hall, name: str) -> None:
    body = {"task": name, "queue": name, "tags": [name], "unique_key": name, "payload": name}
    answer = hall.api.post(JOBS, json=body)
    assert answer.status_code == 201, answer.text
    job = answer.json()["id"]
    found = hall.api.get(f"{JOBS}/{job}").json()
    told = (found["task"], found["queue"], found["tags"], found["unique_key"])
    assert told == (name, name, [name], name)
    assert hall.api.get(f"{JOBS}/{job}/payload").json()["payload"] == name
    params = {"task": name, "queue": name, "tag": name}
    assert [each["id"] for each in hall.api.get(JOBS, params=params).json()["items"]] == [job]
    path = f"/api/v1/queues/{quote(name, safe='')}"
    assert hall.api.post(f"{path}/pause").json()["queue"] == name
    assert hall.api.get(path).json()["ready"] == 1
    batch = {"jobs": [{**body, "unique_key": f"{name} 2"[:200]}]}
    assert hall.api.post(f"{JOBS}/batch", json=batch).status_code == 200
