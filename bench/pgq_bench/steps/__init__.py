"""The measurements, by name, in the order in which they run."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pgq_bench.bench import Bench
from pgq_bench.figures import Figure
from pgq_bench.steps import backlog, bulk, drain, enqueue, latency, memory, pages, pinned, service

STEPS: dict[str, Callable[[Bench], Iterator[Figure]]] = {
    "enqueue": enqueue.run,
    "bulk": bulk.run,
    "drain": drain.run,
    "pinned": pinned.run,
    "backlog": backlog.run,
    "latency": latency.run,
    "memory": memory.run,
    "service": service.run,
    "pages": pages.run,
}
