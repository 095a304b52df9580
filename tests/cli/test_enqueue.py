"""`pgq enqueue`: what is typed becomes a job, or one line that says what is wrong with it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from cli.conftest import Run, Start
from sql.support import Conn, rows, value, wait_until

JOBS = "select j.*, j.payload::text as payload from pgq.job j order by j.id"


def test_prints_the_id_of_the_job(conn: Conn, shell: Run) -> None:
    job = int(shell("enqueue", "echo", '{"a": 1}').out)
    assert value(conn, "select j.payload::text from pgq.job j where j.id = %s", [job]) == '{"a": 1}'


def test_options_become_columns(conn: Conn, pgq: Run) -> None:
    pgq(
        "enqueue", "mail", "[1]", "--queue", "q", "--priority", "0", "--unique-key", "k",
        "--max-attempts", "2", "--timeout", "1m30s", "--tag", "x", "--tag", "y",
        "--header", "a=b=c", "--run-at", "2100-01-01T00:00Z",
    )  # fmt: skip
    (job,) = rows(conn, JOBS)
    assert (job["task"], job["payload"], job["queue"], job["priority"]) == ("mail", "[1]", "q", 0)
    assert (job["unique_key"], job["max_attempts"]) == ("k", 2)
    assert job["timeout"] == timedelta(seconds=90)
    assert (job["tags"], job["headers"]) == (["x", "y"], {"a": "b=c"})
    assert job["run_at"].year == 2100


def test_delay_counts_from_now(conn: Conn, pgq: Run) -> None:
    pgq("enqueue", "echo", "--delay", "1h")
    assert value(conn, "select j.run_at - j.created_at from pgq.job j") >= timedelta(hours=1)


def test_a_number_keeps_all_its_digits(conn: Conn, pgq: Run) -> None:
    payload = '{"n": 1234567890123456789012345678901234567890.10, "big": 1e131071}'
    job = pgq("enqueue", "echo", payload).out.strip()
    assert rows(conn, JOBS)[0]["payload"] == payload
    assert payload in pgq("job", "show", job, "-o", "json").out


def test_payload_from_a_file(conn: Conn, pgq: Run, tmp_path: Path) -> None:
    file = tmp_path / "payload.json"
    file.write_bytes(b'\xef\xbb\xbf{"from": "file"}')
    pgq("enqueue", "echo", f"@{file}")
    assert rows(conn, JOBS)[0]["payload"] == '{"from": "file"}'


def test_payload_from_standard_input(conn: Conn, shell: Run) -> None:
    shell("enqueue", "echo", "-", stdin='"piped"')
    assert rows(conn, JOBS)[0]["payload"] == '"piped"'


def test_a_taken_unique_key_gives_the_job_that_has_it(pgq: Run) -> None:
    first = pgq("enqueue", "echo", "--unique-key", "k", "-o", "json").json
    again = pgq("enqueue", "echo", "--unique-key", "k", "-o", "json").json
    assert first["created"] is True
    assert again == {"id": first["id"], "created": False}
    table = pgq("enqueue", "echo", "--unique-key", "k")
    assert table.out == f"{first['id']}\n"
    assert "unique key is taken" in table.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "Missing argument 'TASK'"),
        (["echo", '{"a": 1,}'], "line 1, column 9"),
        (["echo", "hello"], "'\"hello\"'"),
        (["echo", "NaN"], "NaN is no JSON number"),
        (["echo", "[" * 100_000], "nested too deeply"),
        (["echo", "@/nowhere/at/all"], "'/nowhere/at/all': No such file"),
        (["echo", "--delay", "soon"], "'soon' is no duration"),
        (["echo", "--delay", "-5s"], "'-5s' is no duration"),
        (["echo", "--delay", "999999999999w"], "at most 36500d"),
        (["echo", "--timeout", "0"], "more than 0"),
        (["echo", "--run-at", "tomorrow"], "'tomorrow' is no time"),
        (["echo", "--run-at", "2100-01-01", "--delay", "1s"], "exclude each other"),
        (["echo", "--priority", "10"], "10 is not in the range 0<=x<=9"),
        (["echo", "--header", "novalue"], "expected NAME=VALUE"),
        (["echo", "1", "--stdin"], "exclude each other"),
        (["x" * 201], "1 to 200 characters"),
        (["echo", "--queue", ""], "1 to 200 characters"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_mistake_is_one_line(conn: Conn, pgq: Run, words: list[str], says: str) -> None:
    assert says in pgq("enqueue", *words, code=2).refusal(2)
    assert rows(conn, JOBS) == []


def test_lines_are_payloads_of_the_task(conn: Conn, shell: Run) -> None:
    done = shell("enqueue", "echo", "--stdin", "-q", "q", stdin='{"a": 1e999}\n\n[2]\r\n"three"')
    assert done.out == "3 jobs entered\n"
    assert done.err == ""
    assert [(job["payload"].strip(), job["queue"]) for job in rows(conn, JOBS)] == [
        ('{"a": 1e999}', "q"),
        ("[2]", "q"),
        ('"three"', "q"),
    ]


def test_lines_are_jobs_for_which_options_stand_in(conn: Conn, pgq: Run) -> None:
    stdin = (
        '{"task": "a", "queue": "own", "delay": 60}\n{"task": "b"}\n'
        '{"task": "c", "unique_key": "k", "payload": 5}\n{"task": "d", "unique_key": "k"}\n'
    )
    done = pgq("enqueue", "--stdin", "-q", "q", "--run-at", "2100-01-01", "-o", "json", stdin=stdin)
    a, b, c = rows(conn, JOBS)
    assert [(job["task"], job["queue"]) for job in (a, b, c)] == [
        ("a", "own"),
        ("b", "q"),
        ("c", "q"),
    ]
    assert a["run_at"].year < 2100 == b["run_at"].year
    assert done.lines == [
        {"line": 1, "id": a["id"], "created": True},
        {"line": 2, "id": b["id"], "created": True},
        {"line": 3, "id": c["id"], "created": True},
        {"line": 4, "id": c["id"], "created": False},
    ]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b'{"task": "b",}', "column 14"),
        (b"5", "'5' is no object"),
        (b"{}", "bad task"),
        (b'{"task": "b", "nope": 1}', "unknown field 'nope'"),
        (b'{"task": "b", "priority": 11}', "expected 0 (soonest) to 9"),
        (b'{"task": "b", "delay": "soon"}', "bad delay"),
        (b'{"task": "\xff"}', "byte 11 makes no UTF-8 character"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_bad_line_is_named(conn: Conn, pgq: Run, line: bytes, says: str) -> None:
    refusal = pgq("enqueue", "--stdin", stdin=b'{"task": "a"}\n\n%b\n' % line, code=2).refusal(2)
    assert refusal.startswith("pgq: line 3: ")
    assert says in refusal
    assert rows(conn, JOBS) == []


def test_says_where_to_go_on_after_a_bad_line(conn: Conn, pgq: Run) -> None:
    done = pgq("enqueue", "echo", "--stdin", stdin="1\n" * 1500 + "oops\n", code=2)
    first, second = done.err.splitlines()
    entered = value(conn, "select count(*) from pgq.job")
    assert 0 < entered < 1500
    assert first == f"pgq: entered up to line {entered}; go on with line {entered + 1}"
    assert second.startswith("pgq: line 1501: 'oops' is not JSON")


def test_lines_that_have_arrived_do_not_wait_for_more(conn: Conn, start: Start) -> None:
    process = start("enqueue", "echo", "--stdin")
    assert process.stdin is not None
    process.stdin.write("1\n2\n")
    process.stdin.flush()
    wait_until(lambda: value(conn, "select count(*) from pgq.job") == 2, "two jobs are there")
    assert process.communicate("3\n", timeout=60)[0] == "3 jobs entered\n"
