"""Sessions, and what their errors become."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import psycopg
import pytest

from pgq import database, errors


def test_sessions_are_bounded(dsn: str) -> None:
    with database.connect(dsn, application_name="pgq test", statement_timeout=1.5) as session:
        shown = [
            database.fetch_one(session, query)[0]
            for query in (
                "show statement_timeout",
                "show idle_in_transaction_session_timeout",
                "show application_name",
            )
        ]
        assert shown == ["1500ms", "1min", "pgq test"]
        assert session.autocommit


def test_options_of_the_connection_string_win(dsn: str) -> None:
    own = psycopg.conninfo.make_conninfo(
        dsn, options="-c statement_timeout=7s -c work_mem=5MB", application_name="mine"
    )
    with database.connect(own) as session:
        assert database.fetch_one(session, "show statement_timeout") == ("7s",)
        assert database.fetch_one(session, "show work_mem") == ("5MB",)
        assert database.fetch_one(session, "show application_name") == ("mine",)


@pytest.mark.anyio
async def test_asynchronous_sessions_are_bounded_too(dsn: str) -> None:
    async with await database.connect_async(dsn) as session:
        row = await (await session.execute("show statement_timeout")).fetchone()
        assert row == ("30s",)


@pytest.mark.parametrize("state", sorted(errors.BY_SQLSTATE))
def test_the_queue_s_own_errors_become_its_classes(dsn: str, state: str) -> None:
    raising = f"""do $$ begin
        raise 'words' using errcode = '{state}', detail = 'value', hint = 'remedy';
    end $$"""
    caught = pytest.raises(errors.BY_SQLSTATE[state])
    with database.connect(dsn) as session, caught as info, database.translated():
        session.execute(raising.encode())
    error = info.value
    assert isinstance(error, errors.DatabaseError)
    assert (error.message, error.detail, error.hint) == ("words", "value", "remedy")


def test_errors_that_are_the_caller_s_pass_as_they_are(dsn: str) -> None:
    caught = pytest.raises(psycopg.errors.DivisionByZero)
    with database.connect(dsn) as session, caught, database.translated():
        session.execute("select 1 / 0")


def test_a_session_that_was_ended_is_unavailable(dsn: str) -> None:
    caught = pytest.raises(errors.Unavailable)
    with database.connect(dsn) as session, database.connect(dsn) as other:
        other.execute("select pg_terminate_backend(%s)", [session.info.backend_pid])
        with caught, database.translated():
            session.execute("select 1")


def test_a_server_that_takes_no_writes_for_now_is_unavailable(dsn: str) -> None:
    """As managed ones do when their disk is nearly full."""
    caught = pytest.raises(errors.Unavailable, match="read-only")
    with database.connect(dsn) as session, caught, database.translated():
        session.execute("set default_transaction_read_only = on")
        session.execute("create temporary sequence s; select nextval('s')")


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://user:hidden@127.0.0.1:1/app",
        "host=127.0.0.1 port=1 user=u password='hidden'",
        "postgresql://user:hid/hidden@host/app",
        "postgresql://user:hid@hidden@host/app",
        "host=h password=top hidden",
        "postgresql://user:hidden@[::1/app",
        "postgresql://user:hidden@host:port/app",
    ],
)
def test_no_error_quotes_a_password(dsn: str) -> None:
    with pytest.raises((errors.Unavailable, errors.ConfigError)) as caught:
        database.connect(dsn)
    assert "hidden" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_a_connection_string_is_shown_without_its_password() -> None:
    shown = database.shown("postgresql://user:hidden@host/app?sslpassword=hidden")
    assert "hidden" not in shown
    assert "password=***" in shown
    assert "host=host" in shown


@pytest.fixture
def pooler(dsn: str) -> Iterator[str]:
    """A stand-in for a pooler that takes no `options`: refuses them as PgBouncer does."""
    listener = socket.create_server(("127.0.0.1", 0))
    refused = threading.Event()

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with client:
                start = client.recv(4096)
                if start[4:8] == bytes([4, 210, 22, 47]):
                    client.sendall(b"N")
                    start = client.recv(4096)
                if b"options\0" in start:
                    refused.set()
                    said = b"unsupported startup parameter: options"
                else:
                    said = b"came without options" if refused.is_set() else b"never refused"
                fields = b"SFATAL\0C08P01\0M" + said + b"\0\0"
                client.sendall(b"E" + (len(fields) + 4).to_bytes(4, "big") + fields)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"postgresql://u@127.0.0.1:{listener.getsockname()[1]}/app?gssencmode=disable"
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


def test_a_pooler_that_takes_no_options_is_asked_again_without(pooler: str) -> None:
    with pytest.raises(errors.Unavailable, match="came without options"):
        database.connect(pooler)
