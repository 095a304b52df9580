"""`pgq job`: what is shown of jobs, and what its verbs do to them."""

from __future__ import annotations

from datetime import datetime

import pytest
from psycopg.conninfo import make_conninfo

from cli.conftest import Run
from sql.states import STATES, job_in
from sql.support import (
    Conn,
    answer,
    call,
    column,
    hold,
    insert,
    register,
    running,
    state,
    value,
)


def test_lists_jobs_newest_first(conn: Conn, pgq: Run, shell: Run) -> None:
    first, second = insert(conn, 2)
    conn.execute(
        "update pgq.job set created_at = now() - interval '3.5 hours' where id = %s", [first]
    )
    listed = shell("job", "list", "-o", "json").json
    assert [job["id"] for job in listed] == [second, first]
    assert datetime.fromisoformat(listed[0]["created_at"]).tzinfo is not None
    heading, top, bottom = pgq("job", "list").out.splitlines()
    assert heading.split() == ["ID", "TASK", "QUEUE", "PRI", "STATE", "ATT", "CREATED", "STARTS"]
    assert top.split()[:2] == [str(second), "echo"]
    assert bottom.split()[-4:] == ["3", "h", "ago", "-"]


def test_list_filters(conn: Conn, pgq: Run) -> None:
    made = {wanted: job_in(conn, wanted, queue=f"q {wanted}") for wanted in STATES}
    (tagged,) = insert(conn, task="other", tags=["x"])
    for filters, expected in (
        *((["--state", wanted], [job]) for wanted, job in made.items() if wanted != "ready"),
        (["--queue", "q dead"], [made["dead"]]),
        (["--task", "other"], [tagged]),
        (["--tag", "x"], [tagged]),
        (["--limit", "1"], [tagged]),
        (["--before", made["running"]], [made["scheduled"]]),
        (["--task", "none"], []),
    ):
        listed = pgq("job", "list", *filters, "-o", "json").json
        assert [job["id"] for job in listed] == expected, filters


def test_list_filters_by_payload_worker_and_time(conn: Conn, pgq: Run) -> None:
    (one,) = insert(conn, payload='{"user": {"id": 42}}')
    insert(conn, payload='{"user": {"id": 421}}')
    worker = register(conn, "mail")
    held = running(conn, worker=worker, queue="mail")["id"]
    (old,) = insert(conn)
    conn.execute("update pgq.job set created_at = now() - interval '5 hours' where id = %s", [old])
    moment = value(conn, "select now() - interval '1 hour'").isoformat()
    for filters, expected in (
        (["--payload", "user.id=42"], [one]),
        (["--worker", worker], [held]),
        (["--created-before", moment], [old]),
        (["--created-after", moment, "--task", "echo", "--queue", "mail"], [held]),
    ):
        listed = pgq("job", "list", *filters, "-o", "json").json
        assert [job["id"] for job in listed] == expected, filters


def test_list_says_where_it_stopped_looking(conn: Conn, pgq: Run) -> None:
    (wanted, *others) = insert(conn, 4, tags=["x"])
    search = ["job", "list", "--tag", "x", "--look-at", 2, "-o", "json"]
    first = pgq(*search)
    assert [job["id"] for job in first.json] == others[:0:-1]
    assert first.err == f"pgq: not all were looked at; go on with --before {others[1]}\n"
    rest = pgq(*search, "--before", others[1])
    assert [job["id"] for job in rest.json] == [others[0], wanted]
    assert rest.err == ""


def test_a_table_fits_100_columns(conn: Conn, pgq: Run) -> None:
    insert(conn, task="t" * 200, queue="q" * 200, run_at="2100-01-01")
    assert max(map(len, pgq("job", "list").out.splitlines())) <= 100


def test_shows_a_job_with_all_that_is_known(conn: Conn, pgq: Run, shell: Run) -> None:
    job = job_in(conn, "dead", payload='{"n": 1.10}')
    shown = shell("job", "show", job, "-o", "json")
    assert (shown.json["id"], shown.json["state"]) == (job, "dead")
    assert '"payload": {"n": 1.10}' in shown.out
    (attempt,) = shown.json["attempts"]
    assert (attempt["reason"], attempt["error_class"], attempt["message"]) == (
        "error",
        "Boom",
        "no",
    )
    table = pgq("job", "show", job).out
    assert "state         dead\n" in table
    assert "Boom: no" in table


def test_what_a_job_says_cannot_drive_the_terminal(conn: Conn, pgq: Run) -> None:
    lease = running(conn)
    call(conn, "log", **hold(lease), message="\x1b[2Jcleared\nnext")
    call(
        conn, "fail", **hold(lease), error_class="E", message="\x1b]0;title\x07",
        traceback="line one\n  \x1b[31mline two", permanent=True,
    )  # fmt: skip
    shown = pgq("job", "show", lease["id"]).out
    assert "\x1b" not in shown
    assert "line one\n  \\x1b[31mline two\n" in shown
    logged = pgq("job", "logs", lease["id"]).out
    assert "\x1b" not in logged
    assert len(logged.splitlines()) == 2


def test_cancels_at_once_what_waits(conn: Conn, shell: Run) -> None:
    job = job_in(conn, "ready")
    assert shell("job", "cancel", job).out == f"job {job} cancelled\n"
    assert state(conn, job) == "cancelled"


def test_asks_what_runs_to_stop(conn: Conn, pgq: Run) -> None:
    job = job_in(conn, "running")
    assert pgq("job", "cancel", job, "-o", "json").json == [{"job": job, "did": "requested"}]
    assert value(conn, "select count(*) from pgq.cancel_request where job_id = %s", [job]) == 1


def test_one_job_that_is_refused_does_not_stop_the_others(conn: Conn, pgq: Run) -> None:
    done, waits = job_in(conn, "succeeded"), job_in(conn, "ready")
    result = pgq("job", "cancel", done, 1, waits, code=4)
    assert result.out == f"job {waits} cancelled\n"
    refused, unknown = result.err.splitlines()
    assert refused.startswith(f"pgq: job {done} is succeeded: cannot cancel it")
    assert unknown.startswith("pgq: no job 1")


def test_retries_with_another_payload(conn: Conn, shell: Run) -> None:
    job = job_in(conn, "dead", payload='{"bad": 1}')
    assert shell("job", "retry", job, "--payload", '{"good": 1}').out == f"job {job} retried\n"
    assert state(conn, job) == "ready"
    assert value(conn, "select payload::text from pgq.get_payload(%s)", [job]) == '{"good": 1}'


def test_runs_now_what_is_scheduled(conn: Conn, shell: Run) -> None:
    job = job_in(conn, "scheduled")
    assert shell("job", "run-now", job).out == f"job {job} ready\n"
    assert state(conn, job) == "ready"


def test_edits_what_waits(conn: Conn, shell: Run) -> None:
    job = job_in(conn, "ready")
    shell("job", "edit", job, "--priority", 0, "--payload", "[1]", "--run-at", "2100-01-01T00:00Z")
    assert state(conn, job) == "scheduled"
    found = conn.execute("select priority, payload::text from pgq.job where id = %s", [job])
    assert found.fetchone() == (0, "[1]")


def test_duplicates_with_edits(conn: Conn, pgq: Run, shell: Run) -> None:
    job = job_in(conn, "succeeded", payload='{"n": 1.10}')
    copy = shell("job", "duplicate", job, "-o", "json").json
    assert copy["job"] == job
    assert state(conn, copy["id"]) == "ready"
    edits = ["--payload", "[2]", "-q", "mail", "--priority", 0, "--run-at", "2999-01-01"]
    assert pgq("job", "duplicate", job, *edits).out == f"job {copy['id'] + 1} enqueued\n"
    assert (
        pgq("job", "list", "-q", "mail", "-s", "scheduled", "-o", "json").json[0]["priority"] == 0
    )
    assert pgq("job", "duplicate", job, "--delay", "1h").out == f"job {copy['id'] + 2} enqueued\n"
    assert state(conn, copy["id"] + 2) == "scheduled"
    payload = "select payload::text from pgq.get_payload(%s)"
    assert value(conn, payload, [copy["id"]]) == '{"n": 1.10}'
    assert value(conn, payload, [copy["id"] + 1]) == "[2]"


@pytest.mark.parametrize(
    "verb", ["show", "wait", "retry", "cancel", "logs", "run-now", "duplicate"]
)
def test_an_unknown_job_is_told_of_with_code_3(pgq: Run, verb: str) -> None:
    assert pgq("job", verb, 12345, code=3).refusal(3).startswith("pgq: no job 12345: ")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["show", "abc"], "'abc' is no job id"),
        (["show", "-1"], "No such option"),
        (["show"], "Missing argument 'ID'"),
        (["show", "9" * 19], "is no job id"),
        (["list", "--state", "lost"], "'lost' is not one of"),
        (["list", "--limit", "0"], "0 is not in the range"),
        (["list", "-o", "xml"], "'xml' is not one of"),
        (["list", "--payload", "user"], "'user' is no PATH=VALUE"),
        (["list", "--created-after", "then"], "'then' is no time"),
        (["retry", "1", "2", "--payload", "{}"], "--payload is for one job"),
        (["retry", "1", "--payload", "{"], "line 1, column 2"),
        (["edit", "1"], "nothing to change"),
        (["wait", "1", "--timeout", "x"], "'x' is no duration"),
        (["nonsense"], "No such command 'nonsense'"),
    ],
)
def test_a_mistake_is_one_line(pgq: Run, words: list[str], says: str) -> None:
    assert says in pgq("job", *words, code=2).refusal(2)


@pytest.mark.parametrize(
    ("verb", "wrong"),
    [("retry", "ready"), ("cancel", "dead"), ("run-now", "ready"), ("edit", "running")],
)
def test_a_job_in_another_state_is_refused_with_code_4(
    conn: Conn, pgq: Run, verb: str, wrong: str
) -> None:
    job = job_in(conn, wrong)
    words = ["--priority", "1"] if verb == "edit" else []
    assert f"job {job} is {wrong}" in pgq("job", verb, job, *words, code=4).refusal(4)
    assert state(conn, job) == wrong


def test_logs_come_in_pages_and_in_order(conn: Conn, pgq: Run) -> None:
    lease = running(conn)
    conn.execute(
        "select pgq.log(p_id => %(id)s, p_token => %(token)s, p_message => n::text)"
        " from generate_series(1, 1200) n",
        hold(lease),
    )
    answer(conn, "log", **hold(lease), message="half", level="warning", progress=0.5)
    lines = pgq("job", "logs", lease["id"], "-o", "json").lines
    assert [line["n"] for line in lines] == list(range(1, 1202))
    last = pgq("job", "logs", lease["id"]).out.splitlines()[-1]
    assert last.endswith("#1 warning  [50%] half")


def test_explains_why_a_job_does_not_run(conn: Conn, pgq: Run, shell: Run) -> None:
    answer(conn, "pause", queue="default")
    job = job_in(conn, "ready")
    reasons = {row["reason"] for row in shell("explain", job, "-o", "json").json}
    assert reasons == set(column(conn, "select reason from pgq.explain(%s)", [job]))
    assert len(reasons) > 1
    assert pgq("explain", job).out.startswith("REASON")


def test_explaining_an_unknown_job_is_refused_with_code_3(pgq: Run) -> None:
    assert "no job 5" in pgq("explain", 5, code=3).refusal(3)


def test_a_payload_that_may_not_be_seen_is_left_out(conn: Conn, dsn: str, pgq: Run) -> None:
    job = job_in(conn, "ready", payload='"secret"')
    viewer = make_conninfo(dsn, options="-c role=pgq_viewer")
    shown = pgq("job", "show", job, database=viewer)
    assert "state         ready\n" in shown.out
    assert "secret" not in shown.out
    assert "this role may not see them" in shown.err
    assert "secret" in pgq("job", "show", job).out


def test_times_beyond_python_hide_no_job(conn: Conn, pgq: Run) -> None:
    far, past = insert(conn, run_at="20000-01-01", timeout="100000000 years"), insert(conn)
    conn.execute("update pgq.job set run_at = '4000-01-01 BC' where id = %s", past)
    listed = pgq("job", "list", "-o", "json").json
    assert [job["id"] for job in listed] == [*past, *far]
    assert [job["run_at"][:4] for job in listed] == ["0001", "9999"]
    for job in (*far, *past):
        assert pgq("job", "show", job).out
    assert "9999-12-29" in pgq("job", "list").out


def test_a_word_that_is_not_utf8_is_one_line(pgq: Run) -> None:
    assert "is not UTF-8" in pgq("job", "list", "--task", "\udcff", code=2).refusal(2)
