"""Payloads that break queues: what Postgres takes as JSON, or nearly, and others choke on."""

from __future__ import annotations

from collections.abc import Mapping

from pgq_bench.server import Session, value

POISONS: Mapping[str, str] = {
    "a number of 5,000 digits": """'{"x": ' || repeat('9', 5000) || '}'""",
    "a negative one, in an array": "'[-' || repeat('9', 5000) || ']'",
    "a fraction of 100,000 digits": """'{"x": 0.' || repeat('3', 100000) || '}'""",
    "1e5000": """'{"x": 1e5000}'""",
    "-1e131071": """'{"x": -1e131071}'""",
    "1e-5000": """'{"x": 1e-5000}'""",
    "2^64": """'{"x": 18446744073709551616}'""",
    "minus zero": """'{"x": -0}'""",
    "not a number": """'{"x": NaN}'""",
    "infinity": """'{"x": Infinity}'""",
    "5,000 arrays in each other": """'{"x": ' || repeat('[', 5000) || repeat(']', 5000) || '}'""",
    "5,000 objects in each other": """repeat('{"x":', 5000) || '1' || repeat('}', 5000)""",
    "100,000 arrays in each other": "repeat('[', 100000) || repeat(']', 100000)",
    "arrays that never end": "repeat('[', 5000)",
    "more than 1 MiB": """'{"x": "' || repeat('x', 1048576) || '"}'""",
    "nearly 1 MiB": """'{"x": "' || repeat('x', 1048000) || '"}'""",
    "nearly 1 MiB of escapes": """'{"x": "' || repeat('\\u0001', 170000) || '"}'""",
    "NUL": """'{"x": "a\\u0000b"}'""",
    "NUL in a name": """'{"x\\u0000": 1}'""",
    "NUL itself": """'{"x": "' || chr(0) || '"}'""",
    "half a surrogate pair": """'{"x": "\\ud800"}'""",
    "the other half": """'{"x": "\\udc00"}'""",
    "halves the wrong way round": """'{"x": "\\udc00\\ud800"}'""",
    "an escape cut short": """'{"x": "\\u12"}'""",
    "a line break in a string": """'{"x": "' || chr(10) || '"}'""",
    "right to left, joiners, a mark": """'{"x": "' || U&'\\202E\\200D\\FEFF\\0301' || '"}'""",
    "a noncharacter": """'{"x": "' || U&'\\FFFF\\+10FFFF' || '"}'""",
    "emoji": """'{"x": "' || repeat(U&'\\+01F9DF', 10000) || '"}'""",
    "separators of lines": """'{"x": "' || U&'\\2028\\2029\\0085' || '"}'""",
    "one name twice": """'{"x": 1, "x": 2}'""",
    "20,000 names": (
        "(select json_object_agg('k' || i, i)::text from generate_series(1, 20000) i)"
    ),
    "an empty name": """'{"": 1}'""",
    "names of Python's": """'{"self": 1, "__class__": 2, "ctx": 3}'""",
    "200,000 arguments": "'[' || repeat('0,', 199999) || '0]'",
    "no object": "'null'",
    "an empty text": "''",
    "no payload": "null",
}
"""By name: an SQL expression of its text."""

TASKS = ("echo", "shout")
"""One returns what it gets, the other fails with it and logs it."""


def offer(session: Session, name: str, task: str) -> int:
    """Insert a job with such a payload, as anybody may over SQL; its id.

    Its headers hold the same. Raises `psycopg.Error` when it is refused.
    """
    query = (
        "insert into pgq.job (task, payload, headers, max_attempts) "
        "select %s, p.payload, json_build_object('poison', p.payload), 1 "
        f"from (select ({POISONS[name]})::json as payload) p returning id"
    )
    return int(value(session, query.encode(), [task]))
