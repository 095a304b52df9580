"""Stops the embedded Postgres after the last process that uses it, however that ended.

A script of its own, started by `pgq.postgres` with: the descriptor of the users' lock, that of its
own lock (held, so that there is one keeper), uid and gid or -1, pg_ctl, the data folder.
"""

from __future__ import annotations

import fcntl
import subprocess
import sys


def main(users: int, uid: int, gid: int, pg_ctl: str, cluster: str) -> None:
    """Wait until nobody holds the users' lock, then stop the server."""
    fcntl.flock(users, fcntl.LOCK_EX)
    for mode in ("fast", "immediate"):
        stopped = subprocess.run(
            [pg_ctl, "stop", "-D", cluster, "-m", mode, "-w", "-t", "30"],
            user=uid if uid >= 0 else None,
            group=gid if gid >= 0 else None,
            extra_groups=[] if uid >= 0 else None,
            cwd="/",
            check=False,
        )
        if stopped.returncode == 0:
            return


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[3]), int(sys.argv[4]), sys.argv[5], sys.argv[6])
