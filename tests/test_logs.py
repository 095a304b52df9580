"""Lines of the log: for people and for programs, with their job, without secrets."""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from pgq import logs, traces
from pgq.traces import Trace


@dataclass(frozen=True)
class Job:
    id: int = 7
    task: str = "mail"
    attempt: int = 2
    trace: Trace | None = None


log = logging.getLogger("pgq.test")


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    logging.captureWarnings(False)


def said(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err


def line(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    text = said(capsys)
    assert text.count("\n") == 1
    found = json.loads(text)
    assert isinstance(found, dict)
    return found


def test_json_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    assert logs.configure("info", "auto") == "json"
    log.warning("two\nlines of %s", "text")
    found = line(capsys)
    assert (found["level"], found["logger"], found["message"]) == (
        "warning", "pgq.test", "two\nlines of text"
    )  # fmt: skip
    assert found["at"].endswith("+00:00")


def test_text_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert logs.configure("info", "auto") == "text"
    log.warning("ready")
    assert said(capsys).endswith(" warning ready\n")


def test_line_of_a_handler_tells_its_job(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info", "json")
    token = logs.current_job.set(Job())
    log.info("sent")
    logs.current_job.reset(token)
    assert line(capsys).items() >= {"job": 7, "task": "mail", "attempt": 2}.items()
    log.info("idle")
    assert "job" not in line(capsys)


def test_line_about_a_job_tells_it(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info", "json")
    log.info("failed", extra=logs.about(Job(), state="dead"))
    wanted = {"job": 7, "task": "mail", "attempt": 2, "state": "dead"}
    assert line(capsys).items() >= wanted.items()


def test_line_about_a_job_tells_its_place_in_a_trace(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info", "json")
    trace = traces.parse(f"00-{'a' * 32}-{'b' * 16}-01")
    log.info("failed", extra=logs.about(Job(trace=trace)))
    assert line(capsys).items() >= {"trace_id": "a" * 32, "span_id": "b" * 16}.items()


def test_quieter_levels_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("warning", "json")
    log.info("no")
    assert said(capsys) == ""


def test_configured_twice_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info", "json")
    logs.configure("info", "json")
    log.info("once")
    assert line(capsys)["message"] == "once"


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize(
    "text",
    [
        "cannot reach postgresql://app:{}@db/app",
        "host=db password={} dbname=app",
        "host=db sslpassword = '{}'",
        "Authorization: Bearer {}",
        "the password is s3cret/word, and {}",
    ],
)
def test_secrets_show_in_no_line(capsys: pytest.CaptureFixture[str], form: Any, text: str) -> None:
    secret = "s3cret/word" if "password is" in text else "canary-1234567"
    logs.configure("info", form, secrets=["s3cret/word"])
    log.info(text.format(secret))
    try:
        raise RuntimeError(text.format(secret))
    except RuntimeError:
        log.exception("failed")
    shown = said(capsys)
    assert "***" in shown
    assert secret not in shown


@pytest.mark.parametrize("form", ["text", "json"])
def test_tokens_of_the_service_show_in_no_line(
    capsys: pytest.CaptureFixture[str], form: Any
) -> None:
    token = f"pgq_{secrets.token_urlsafe(32)}"
    logs.configure("info", form)
    log.info("token %s was refused", token)
    assert "token pgq_*** was refused" in said(capsys)


def test_password_is_masked_percent_encoded_too(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info", "json", secrets=["s3cret/word"])
    log.info("as %s", "s3cret%2Fword")
    assert line(capsys)["message"] == "as ***"
