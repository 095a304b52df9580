"""What goes on beside the body of a `with`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

Over = threading.Event
"""Set when what goes on has to end."""


@contextmanager
def beside(act: Callable[[Over], None]) -> Iterator[None]:
    """Run `act` in a thread until the context ends, which then raises what it raised."""
    over = Over()
    with ThreadPoolExecutor(1) as thread:
        acting = thread.submit(act, over)
        try:
            yield
        finally:
            over.set()
        acting.result()
