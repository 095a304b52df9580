"""Exits with 0 when what runs in this container is well.

A server is when the database answers it and has a schema that fits; a worker when the database
knows it. Asks on loopback, at the ports that the environment says.
"""

import os
import ssl
import sys
from http.client import HTTPConnection, HTTPException, HTTPSConnection

SECONDS = 3


def server() -> bool:
    """Whether the server can serve. Raises `ConnectionRefusedError` when none runs."""
    port = int(os.environ.get("PGQ_SERVER_PORT") or 8080)
    host = (os.environ.get("PGQ_SERVER_ALLOWED_HOSTS") or "localhost").split(",")[0].strip()
    connection = HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    if os.environ.get("PGQ_SERVER_TLS_CERTIFICATE"):
        # The certificate is not made out to loopback.
        context = ssl._create_unverified_context()  # noqa: S323
        connection = HTTPSConnection("127.0.0.1", port, timeout=SECONDS, context=context)
    connection.request("GET", "/readyz", headers={"Host": host})
    return connection.getresponse().status == 200


def worker() -> bool:
    """Whether the worker is registered. Raises `ConnectionRefusedError` when none runs."""
    port = int(os.environ["PGQ_WORKER_METRICS_PORT"])
    connection = HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    connection.request("GET", "/metrics")
    return b"\npgq_worker_process_registered 1.0\n" in connection.getresponse().read()


def main() -> int | str:
    """The exit status, or what is wrong."""
    for kind in (server, worker):
        try:
            return 0 if kind() else f"the {kind.__name__} is not well"
        except ConnectionRefusedError:
            continue
        except (OSError, HTTPException) as error:
            return f"the {kind.__name__} does not answer: {error}"
    return "neither a server nor a worker answers"


if __name__ == "__main__":
    sys.exit(main())
