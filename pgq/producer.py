"""The statements that make jobs: the only place where Python writes to a table of the queue.

A job without a unique key is a plain INSERT; one with a key goes through `pgq.enqueue`, which tells
the job that holds the key. Columns that nobody set are left out, so that the table's defaults hold.

Many jobs are one INSERT from a JSON array, which the server reads nearly as fast as COPY and which,
unlike COPY, tells the ids.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from pydantic_core import to_json

from pgq.connections import Statement

_CASTS = {
    "task": "cast(? as text)",
    "payload": "cast(cast(? as text) as json)",
    "queue": "cast(? as text)",
    "priority": "cast(? as integer)",
    "run_at": "cast(? as timestamptz)",
    "delay": "clock_timestamp() + cast(? as interval)",
    "max_attempts": "cast(? as integer)",
    "timeout": "cast(? as interval)",
    "backoff_base": "cast(? as interval)",
    "backoff_max": "cast(? as interval)",
    "unique_key": "cast(? as text)",
    "tags": "cast(? as text[])",
    "headers": "cast(cast(? as text) as json)",
}
"""Each column's parameter. JSON travels as text, whatever codec for json the connection has."""

_DEFAULTS = {"queue": "default", "priority": 5, "tags": []}
_ENQUEUE_MANY = (
    "select j.id, j.created "
    "from pgq.enqueue_many(p_jobs => cast(cast(? as text) as json)) as j order by j.n"
)


def one(task: str, payload: str, columns: Mapping[str, Any], unique_key: str | None) -> Statement:
    """Makes one job; its row is (id, created)."""
    values = {"task": task, "payload": payload, **_encoded(columns)}
    if unique_key is not None:
        values["unique_key"] = unique_key
        return Statement(_enqueue(tuple(values)), tuple(values.values()))
    return Statement(_insert(tuple(values)), tuple(values.values()))


def many(task: str, payloads: str, columns: Mapping[str, Any]) -> Statement:
    """Makes a job of each element of a JSON array; its rows are (id, created), in that order."""
    values = {"task": task, **_encoded(columns)}
    return Statement(_insert_many(tuple(values)), (*values.values(), payloads))


def many_unique(
    task: str, payloads: Sequence[str], columns: Mapping[str, Any], keys: Sequence[str]
) -> Statement:
    """As `many`, each with a unique key; where that is taken, the row has the job that holds it."""
    common = to_json({"task": task, **columns}).decode()[:-1]
    jobs = (
        f'{common},"payload":{payload},"unique_key":{to_json(key).decode()}}}'
        for payload, key in zip(payloads, keys, strict=True)
    )
    return Statement(_ENQUEUE_MANY, (f"[{','.join(jobs)}]",))


def mixed(jobs: Sequence[Mapping[str, Any]]) -> Statement:
    """Makes jobs with columns of their own, of which none has a unique key; rows as of `many`.

    Each has `task` and `payload`, which is JSON text, and any other columns.
    """
    payloads = f"[{','.join(job['payload'] for job in jobs)}]"
    given = {name for job in jobs for name in job}
    names = [name for name in _CASTS if name in given and name != "payload"]
    first = _encoded(jobs[0])
    common = {
        name: first[name]
        for name in names
        if name in first and all(job.get(name) == jobs[0][name] for job in jobs)
    }
    varying = tuple(name for name in names if name not in common)
    if not varying:
        return Statement(_insert_many(tuple(common)), (*common.values(), payloads))
    encoded = [_encoded(job) for job in jobs]
    values = [[_element(name, job.get(name)) for job in encoded] for name in varying]
    return Statement(_insert_mixed(tuple(common), varying), (*common.values(), payloads, *values))


def each(jobs: Sequence[Mapping[str, Any]]) -> Statement:
    """As `mixed`, also with unique keys, and a refusal names the item; takes longer."""
    return Statement(_ENQUEUE_MANY, (f"[{','.join(map(_item, jobs))}]",))


def _item(job: Mapping[str, Any]) -> str:
    members = (
        f'"{name}":{value if name in ("payload", "headers") else to_json(value).decode()}'
        for name, value in _encoded(job).items()
    )
    return f"{{{','.join(members)}}}"


def _encoded(columns: Mapping[str, Any]) -> dict[str, Any]:
    headers = columns.get("headers")
    if headers is None or isinstance(headers, str):
        return dict(columns)
    return {**columns, "headers": to_json(headers).decode()}


@lru_cache(maxsize=256)
def _insert(names: tuple[str, ...]) -> str:
    return (
        f"insert into pgq.job ({_columns(names)}) values ({', '.join(_CASTS[n] for n in names)}) "
        "returning id, true"
    )


@lru_cache(maxsize=256)
def _insert_many(names: tuple[str, ...]) -> str:
    return (
        f"insert into pgq.job ({_columns(names)}, payload) "
        f"select {', '.join(_CASTS[n] for n in names)}, p.payload "
        "from json_array_elements(cast(cast(? as text) as json)) as p (payload) "
        "returning id, true"
    )


@lru_cache(maxsize=256)
def _insert_mixed(common: tuple[str, ...], varying: tuple[str, ...]) -> str:
    selected = {_column(name): _CASTS[name] for name in common}
    for name in varying:
        selected[_column(name)] = _from_text(name)
    if "run_at" in varying and "delay" in varying:
        selected["run_at"] = f"coalesce({_from_text('run_at')}, {_from_text('delay')})"
    arrays = ", ".join("cast(? as text[])" for _ in varying)
    return (
        f"insert into pgq.job ({', '.join(selected)}, payload) "
        f"select {', '.join(selected.values())}, j.payload "
        "from rows from (json_array_elements(cast(cast(? as text) as json)), "
        f"unnest({arrays})) with ordinality as j (payload, {', '.join(varying)}, n) order by j.n "
        "returning id, true"
    )


def _from_text(name: str) -> str:
    if name == "tags":
        return "array(select json_array_elements_text(cast(j.tags as json)))"
    return _CASTS[name].replace("?", f"j.{name}")


def _element(name: str, value: Any) -> str | None:
    """A column's value as text, to stand in an array."""
    if value is None:
        value = _DEFAULTS.get(name)
    if name == "tags":
        return to_json(value).decode()
    if isinstance(value, timedelta):
        return f"{value // timedelta(microseconds=1)} microseconds"
    if isinstance(value, datetime):
        return value.isoformat()
    return None if value is None else str(value)


def _column(name: str) -> str:
    return "run_at" if name == "delay" else name


@lru_cache(maxsize=256)
def _enqueue(names: tuple[str, ...]) -> str:
    arguments = ", ".join(
        f"p_{n} => {'cast(? as interval)' if n == 'delay' else _CASTS[n]}" for n in names
    )
    return f"select e.id, e.created from pgq.enqueue({arguments}) as e"


def _columns(names: Iterable[str]) -> str:
    return ", ".join(map(_column, names))
