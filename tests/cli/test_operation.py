"""`pgq operation`: operations on many jobs are shown and stopped."""

from __future__ import annotations

import pytest

from cli.conftest import Run
from sql.support import Conn, answer, insert


def test_lists_the_newest_first(conn: Conn, pgq: Run, shell: Run) -> None:
    insert(conn, 3)
    first = answer(conn, "start_operation", verb="cancel", queue="default", by="ann")
    answer(conn, "operate")
    second = answer(conn, "start_operation", verb="retry", task="t" * 100)
    listed = shell("operation", "list", "-o", "json").json
    assert [(each["id"], each["state"]) for each in listed] == [
        (second, "running"),
        (first, "done"),
    ]
    heading, top, bottom = pgq("operation", "list").out.splitlines()
    assert heading.split()[:6] == ["ID", "VERB", "STATE", "DONE", "SKIPPED", "OF"]
    assert top.split()[:3] == [str(second), "retry", "running"]
    assert bottom.split()[:6] == [str(first), "cancel", "done", "3", "0", "3"]
    assert max(map(len, (heading, top, bottom))) <= 110
    assert len(pgq("operation", "list", "-n", 1, "-o", "json").json) == 1


def test_shows_how_far_one_is(conn: Conn, pgq: Run) -> None:
    insert(conn, 3)
    operation = answer(conn, "start_operation", verb="cancel", queue="default", by="ann")
    answer(conn, "operate", limit=2)
    found = pgq("operation", "show", operation, "-o", "json").json
    assert (found["state"], found["done"], found["by"]) == ("running", 2, "ann")
    assert found["filter"] == {"queue": "default"}
    lines = dict(
        line.split(maxsplit=1) for line in pgq("operation", "show", operation).out.splitlines()
    )
    assert (lines["state"], lines["done"], lines["expected"]) == ("running", "2", "3")


def test_stops_those_that_run(conn: Conn, pgq: Run, shell: Run) -> None:
    one, two = (answer(conn, "start_operation", verb="cancel", queue=q) for q in ("a", "b"))
    assert shell("operation", "stop", one).out == f"operation {one} stopped\n"
    assert pgq("operation", "stop", one, two).out == (
        f"operation {one} had ended before\noperation {two} stopped\n"
    )


@pytest.mark.parametrize("verb", ["show", "stop"])
def test_an_unknown_operation_is_told_of_with_code_3(pgq: Run, verb: str) -> None:
    assert "no operation 12345" in pgq("operation", verb, 12345, code=3).refusal(3)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["show", "x"], "'x' is not a valid integer"),
        (["stop"], "Missing argument"),
        (["list", "-n", "0"], "0 is not in the range"),
        (["show", "0"], "0 is not in the range"),
    ],
)
def test_a_mistake_is_one_line(pgq: Run, words: list[str], says: str) -> None:
    assert says in pgq("operation", *words, code=2).refusal(2)
