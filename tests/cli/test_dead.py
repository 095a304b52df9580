"""`pgq dead`: dead letters are listed, retried and purged, and never by mistake."""

from __future__ import annotations

import json
import re

import pytest

from cli.conftest import Run
from sql.states import job_in
from sql.support import Conn, column, state, value


def dead(conn: Conn) -> list[int]:
    return column(conn, "select d.job_id from pgq.dead d order by d.job_id")


def test_lists_the_newest_first_by_filter(conn: Conn, pgq: Run, shell: Run) -> None:
    first = job_in(conn, "dead", queue="mail")
    second = job_in(conn, "dead", task="other")
    listed = shell("dead", "list", "-o", "json").json
    assert [letter["id"] for letter in listed] == [second, first]
    table = pgq("dead", "list").out
    assert listed[0]["fingerprint"] in table
    assert "Boom: no" in table
    for filters, expected in (
        (["--queue", "mail"], first),
        (["--task", "other"], second),
        (["--fingerprint", listed[0]["fingerprint"]], second),
        (["--before", second], first),
    ):
        assert [each["id"] for each in pgq("dead", "list", *filters, "-o", "json").json] == [
            expected
        ]


@pytest.mark.parametrize("command", ["list", "groups"])
def test_a_table_fits_100_columns(conn: Conn, pgq: Run, command: str) -> None:
    job_in(conn, "dead", queue="q" * 100, task="t" * 100)
    assert max(map(len, pgq("dead", command).out.splitlines())) <= 100


def test_groups_by_error(conn: Conn, pgq: Run, shell: Run) -> None:
    job_in(conn, "dead", queue="mail")
    second = job_in(conn, "dead", queue="mail")
    other = job_in(conn, "dead", task="other")
    grouped = shell("dead", "groups", "-o", "json").json
    assert [(group["n"], group["last_id"]) for group in grouped] == [(1, other), (2, second)]
    assert grouped[1]["queues"] == ["mail"]
    heading, *lines = pgq("dead", "groups", "--queue", "mail").out.splitlines()
    assert heading.split()[:3] == ["FINGERPRINT", "JOBS", "TASK"]
    assert [line.split()[:3] for line in lines] == [[grouped[1]["fingerprint"], "2", "echo"]]
    assert "Boom: no" in lines[0]
    assert [each["n"] for each in pgq("dead", "groups", "-t", "other", "-o", "json").json] == [1]


def test_retries_one_with_another_payload(conn: Conn, shell: Run) -> None:
    job = job_in(conn, "dead")
    assert shell("dead", "retry", job, "--payload", "[2]").out == f"job {job} retried\n"
    assert state(conn, job) == "ready"
    assert value(conn, "select payload::text from pgq.get_payload(%s)", [job]) == "[2]"


def test_retries_by_filter_as_an_operation(conn: Conn, pgq: Run, shell: Run) -> None:
    jobs = [job_in(conn, "dead", queue="mail") for _ in range(3)]
    other = job_in(conn, "dead")
    cancelled = job_in(conn, "cancelled", queue="mail")
    said = shell("dead", "retry", "--queue", "mail", "--limit", 2, "--yes").out
    assert re.fullmatch(r"operation \d+ done: 2 dead letters done\n", said)
    assert dead(conn) == [jobs[2], other]
    done = pgq("dead", "retry", "--queue", "mail", "-y", "-o", "json").json
    assert (done["state"], done["done"], done["verb"]) == ("done", 1, "retry")
    assert "1 dead letter done" in pgq("dead", "retry", "--all", "-y").out
    assert dead(conn) == []
    assert state(conn, cancelled) == "cancelled"


def test_a_payload_changes_each_letters_own(conn: Conn, pgq: Run) -> None:
    job = job_in(conn, "dead", payload='{"a": 1, "b": 2.10}')
    pgq("dead", "retry", "--all", "-y", "--payload", '{"a": 3}')
    assert json.loads(value(conn, "select payload::text from pgq.job where id = %s", [job])) == {
        "a": 3, "b": 2.1,
    }  # fmt: skip


def test_purges_by_condition(conn: Conn, pgq: Run, shell: Run) -> None:
    jobs = [job_in(conn, "dead") for _ in range(3)]
    assert shell("dead", "purge", jobs[1], "--yes").out == "1 dead letter purged\n"
    assert dead(conn) == [jobs[0], jobs[2]]
    assert pgq("dead", "purge", "--older-than", "1h", "-y").out == "0 dead letters purged\n"
    conn.execute("update pgq.dead set died_at = died_at - interval '2 hours'")
    assert pgq("dead", "purge", "--older-than", "1h", "-y", "-o", "json").json["purged"] == 2
    assert value(conn, "select count(*) from pgq.job") == 0


def test_all_conditions_of_a_purge_must_hold(conn: Conn, pgq: Run) -> None:
    job = job_in(conn, "dead", queue="mail")
    assert pgq("dead", "purge", job, "--queue", "other", "--yes").out == "0 dead letters purged\n"
    assert dead(conn) == [job]


def test_a_batch_is_not_the_limit(conn: Conn, pgq: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pgq.cli.dead.BATCH", 2)
    for _ in range(5):
        job_in(conn, "dead")
    assert pgq("dead", "purge", "--queue", "default", "-y", "-n", 3).out == (
        "3 dead letters purged\n"
    )
    assert pgq("dead", "purge", "--queue", "default", "-y").out == "2 dead letters purged\n"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["retry"], "which? give IDs, --queue, --task, --fingerprint or --all"),
        (["retry", "1", "--all"], "IDs and filters exclude each other"),
        (["retry", "--all", "-y", "--payload", "1"], "expected an object, for retry"),
        (["retry", "--all"], "say --yes"),
        (["retry", "x"], "'x' is no job id"),
        (["retry", "--all", "--limit", "0"], "0 is not in the range"),
        (["purge", "--yes"], "which? give IDs, --queue, --task, --fingerprint or --older-than"),
        (["purge", "--older-than", "0"], "say --yes"),
        (["purge", "--older-than", "ever"], "is no duration"),
    ],
)
def test_a_mistake_is_one_line(conn: Conn, pgq: Run, words: list[str], says: str) -> None:
    job = job_in(conn, "dead")
    assert says in pgq("dead", *words, code=2).refusal(2)
    assert dead(conn) == [job]
