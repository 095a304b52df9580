"""The text of a traceback: what the standard library says, the second time as the first."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

import pytest

from pgq_worker import tracebacks


def plain() -> NoReturn:
    raise ValueError("no")


def other() -> NoReturn:
    plain()


def chained() -> NoReturn:
    try:
        plain()
    except ValueError as error:
        raise KeyError("k") from error


def while_handling() -> NoReturn:
    try:
        plain()
    except ValueError:
        raise KeyError("k")  # noqa: B904


def suppressed() -> NoReturn:
    try:
        plain()
    except ValueError:
        raise KeyError("k") from None


def noted() -> NoReturn:
    error = ValueError("no")
    error.add_note("a note")
    raise error


def group() -> NoReturn:
    raise ExceptionGroup("many", [ValueError("one"), KeyError("two")])


def misspelt() -> NoReturn:
    raise ValueError(plian)  # type: ignore[name-defined]  # noqa: F821


def not_python() -> NoReturn:
    compile("a b", "<text>", "exec")
    raise AssertionError


def recursion(depth: int = 50) -> NoReturn:
    if not depth:
        raise ValueError("deep")
    recursion(depth - 1)


def raised(function: Callable[[], Any]) -> BaseException:
    try:
        function()
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


@pytest.mark.parametrize(
    "function",
    [
        plain,
        other,
        chained,
        while_handling,
        suppressed,
        noted,
        group,
        misspelt,
        not_python,
        recursion,
    ],
    ids=lambda function: function.__name__,
)
def test_text_is_the_standard_librarys(function: Callable[[], Any]) -> None:
    for _ in range(2):
        error = raised(function)
        expected = "".join(traceback.format_exception(error))
        assert tracebacks.text(error, error.__traceback__) == expected


def test_message_is_each_errors_own() -> None:
    def fail(number: int) -> NoReturn:
        raise ValueError(f"row {number}")

    for number in range(2):
        error = raised(partial(fail, number))
        assert f"ValueError: row {number}\n" in tracebacks.text(error, error.__traceback__)


def test_code_that_looks_the_same_is_told_apart() -> None:
    texts = []
    for name in ("one.py", "two.py"):
        scope: dict[str, Any] = {}
        exec(compile("def fail():\n    raise ValueError('no')\n", name, "exec"), scope)
        error = raised(scope["fail"])
        texts.append(tracebacks.text(error, error.__traceback__))
    assert '"one.py"' in texts[0]
    assert '"two.py"' in texts[1]


def test_error_that_was_not_raised_has_no_frames() -> None:
    assert tracebacks.text(ValueError("no"), None) == "ValueError: no\n"


def test_no_more_is_remembered_than_so_much() -> None:
    for number in range(3 * tracebacks.MOST):
        scope: dict[str, Any] = {}
        exec(f"def fail():\n    raise ValueError({number})\n", scope)
        error = raised(scope["fail"])
        assert f"ValueError: {number}\n" in tracebacks.text(error, error.__traceback__)
    assert tracebacks.remembered() <= tracebacks.MOST
