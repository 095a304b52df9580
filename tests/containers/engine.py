"""A container engine of our own, whatever else the machine has, and its command line."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

import servers

CHECKOUT = Path(__file__).parent.parent.parent
PACKAGES = "docker.io containerd runc iptables tini mmdebstrap prometheus"
"""What Debian calls the programs that are needed here."""
CAPABILITIES = {"CAP_NET_ADMIN": 12, "CAP_SYS_CHROOT": 18, "CAP_SYS_ADMIN": 21, "CAP_MKNOD": 27}
"""What an engine cannot do without, by the number of its bit."""


class Engine:
    """dockerd below a folder of its own; it touches no firewall and nothing outside of it."""

    def __init__(self) -> None:
        check()
        self.folder = Path(tempfile.mkdtemp(prefix="pgq-engine-", dir="/var/tmp"))
        self.environment = {
            **{key: os.environ[key] for key in ("HOME", "LANG", "TMPDIR") if key in os.environ},
            "PATH": os.environ["PATH"],
            "DOCKER_HOST": f"unix://{self.folder}/socket",
            "DOCKER_CONFIG": str(self.folder / "config"),
            "DOCKER_BUILDKIT": "0",  # its plugin is not in Debian
            "COMPOSE_PROJECT_NAME": "pgq-test",
            "COMPOSE_ENV_FILES": os.devnull,
        }
        self._log = self.folder / "log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    "dockerd", "--iptables=false", "--ip6tables=false", "--ip-forward=false",
                    "--ip-masq=false", "--ip=127.0.0.1", f"--host=unix://{self.folder}/socket",
                    f"--data-root={self.folder}/data", f"--exec-root={self.folder}/exec",
                    f"--pidfile={self.folder}/pid",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )  # fmt: skip
        try:
            servers.until(self._answers, f"dockerd answers; {self._log}", seconds=60)
        except BaseException:
            self.close()
            raise

    def _answers(self) -> bool:
        if self._process.poll() is not None:
            said = self._log.read_text(errors="replace")[-2000:]
            pytest.fail(f"dockerd ended with {self._process.returncode}; {rights()}\n{said}")
        return self._run(["docker", "info"]).returncode == 0

    def _run(
        self, command: list[str], *, text: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            input=text if text is not None else "",
            env=self.environment,
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
            check=False,
            timeout=900,
        )

    def tell(self, *words: str, text: str | None = None) -> str:
        """What a command says on its output: docker, or the shell of a reader of the docs."""
        done = self._run(list(words), text=text)
        assert done.returncode == 0, (words, done.stdout[-2000:], done.stderr[-4000:])
        return done.stdout.strip()

    def fails(self, *words: str) -> str:
        """What a command says that does not succeed."""
        done = self._run(list(words))
        assert done.returncode != 0, (words, done.stdout)
        return done.stdout + done.stderr

    def compose(self, *words: str) -> str:
        """What `docker compose …` says."""
        return self.tell("docker", "compose", *words)

    def close(self) -> None:
        """End it with all that runs in it, and remove what it kept."""
        if self._process.poll() is None:
            running = self._run(["docker", "ps", "--quiet"]).stdout.split()
            if running:
                self._run(["docker", "rm", "--force", *running])
            self._process.terminate()
            try:
                self._process.wait(60)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        for line in reversed(Path("/proc/self/mounts").read_text().splitlines()):
            place = line.split()[1]
            if place.startswith(f"{self.folder}/"):
                subprocess.run(["umount", "--lazy", place], check=False)
        shutil.rmtree(self.folder)


def check() -> None:
    """Say what is missing on this machine."""
    programs = ("dockerd", "containerd", "runc", "docker", "docker-init", "iptables", "mmdebstrap")
    absent = [name for name in (*programs, "prometheus") if shutil.which(name) is None]
    if absent:
        pytest.fail(f"no {', '.join(absent)}: apt-get install {PACKAGES}", pytrace=False)
    if os.geteuid() != 0:
        pytest.fail("an engine of our own needs root", pytrace=False)
    if lacking := _lacking():
        pytest.fail(
            f"an engine of our own needs {', '.join(lacking)}, which this machine or container "
            "withholds: run the container with --privileged",
            pytrace=False,
        )


def rights() -> str:
    """What an engine may lack here, in words."""
    lacking = _lacking()
    return f"this machine withholds {', '.join(lacking)}" if lacking else "rights are all there"


def _lacking() -> list[str]:
    status = Path("/proc/self/status").read_text()
    held = int(status.partition("CapEff:\t")[2].split("\n")[0], 16)
    lacking = [name for name, bit in CAPABILITIES.items() if not held >> bit & 1]
    if os.statvfs("/sys/fs/cgroup").f_flag & os.ST_RDONLY:
        lacking.append("a writable /sys/fs/cgroup")
    return lacking


class Steps:
    """Says how long each step of making ready took."""

    def __init__(self) -> None:
        self._since = time.monotonic()

    def done(self, what: str) -> None:
        """A step has ended."""
        now = time.monotonic()
        print(f"\n{now - self._since:6.1f} s  {what}", flush=True)
        self._since = now
