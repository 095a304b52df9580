"""Declaring tasks: names, options, and functions that stay functions."""

from __future__ import annotations

import subprocess
import sys
from datetime import datetime
from typing import Any

import pytest

from pgq import App, Backoff, Permanent, TaskError


def test_a_task_is_named_after_its_function() -> None:
    app = App()

    @app.task()
    def resize(width: int) -> int:
        return width

    assert app.find("resize") is resize
    assert list(app.tasks) == ["resize"]


def test_a_given_name_goes_before_the_functions() -> None:
    app = App()

    @app.task("images.resize")
    def resize() -> None: ...

    assert list(app.tasks) == ["images.resize"]


def test_the_decorator_works_without_parentheses() -> None:
    app = App()

    @app.task
    def resize(width: int) -> int:
        return width * 2

    assert resize(4) == 8
    assert app.find("resize") is resize


@pytest.mark.anyio
async def test_an_async_task_stays_callable() -> None:
    app = App()

    @app.task()
    async def double(number: int) -> int:
        return number * 2

    assert await double(4) == 8


def test_a_task_keeps_the_name_and_docstring_of_its_function() -> None:
    app = App()

    @app.task("other")
    def resize() -> None:
        """Make it smaller."""

    assert resize.__name__ == "resize"
    assert resize.__doc__ == "Make it smaller."


def test_declaring_a_name_twice_is_refused_naming_both_places() -> None:
    app = App()

    @app.task()
    def resize() -> None: ...

    with pytest.raises(TaskError, match=r"'resize' is declared twice.*resize.*another"):

        @app.task("resize")
        def another() -> None: ...


def test_the_catch_all_is_found_for_names_that_no_task_has() -> None:
    app = App()

    @app.task("*")
    def anything(payload: Any) -> None: ...

    @app.task()
    def resize() -> None: ...

    assert app.find("unheard of") is anything
    assert app.find("resize") is resize


def test_without_a_catch_all_an_unknown_name_is_not_found() -> None:
    assert App().find("unheard of") is None


def test_a_catch_all_with_two_arguments_is_refused() -> None:
    with pytest.raises(TaskError, match="takes any payload"):
        App().task("*")(lambda first, second: None)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"priority": 10}, "priority is 10: .*less than or equal to 9"),
        ({"priority": "high"}, "priority is 'high'"),
        ({"max_attempts": 0}, "max_attempts is 0"),
        ({"timeout": -1}, "timeout is .*greater than 0"),
        ({"delay": -1}, "delay is .*greater than or equal to 0"),
        ({"run_at": datetime(2030, 1, 1)}, "run_at is .*timezone"),
        ({"queue": ""}, "queue is ''"),
        ({"tags": "urgent"}, "tags is 'urgent'"),
        ({"retry": 3}, "retry is 3"),
        ({"quue": "mail"}, "no option 'quue'; there are queue"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused_where_it_is_declared(
    options: Any, complaint: str
) -> None:
    with pytest.raises(TaskError, match=complaint):
        App().task("resize", **options)(lambda: None)


def test_a_negative_backoff_is_refused() -> None:
    with pytest.raises(TaskError, match="base is -1"):
        Backoff(base=-1)


def test_named_exceptions_are_permanent() -> None:
    app = App()

    @app.task(permanent=[ValueError])
    def resize() -> None: ...

    assert resize.is_permanent(UnicodeError())
    assert resize.is_permanent(Permanent())
    assert not resize.is_permanent(KeyError())


def test_importing_an_app_reads_no_settings_or_network() -> None:
    program = (
        "import os, socket; os.environ['DATABASE_URL'] = 'nonsense://'\n"
        "socket.socket.connect = None\n"
        "import pgq; app = pgq.App(); app.task('one')(lambda: None)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_no_library_of_the_callers_is_imported() -> None:
    program = (
        "import sys, pgq, pgq.testing\n"
        "assert not {'sqlalchemy', 'asyncpg', 'django', 'pgq_worker'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
