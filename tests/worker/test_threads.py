"""The threads in which sync handlers run."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from pgq_worker.threads import Threads

MOST = 4


def run(
    call: Callable[[int], Any], items: int, *, most: int = MOST
) -> tuple[list[tuple[int, Any]], set[int]]:
    """What came of each item, in the order in which the loop heard it, and the loop's threads."""

    async def main() -> tuple[list[tuple[int, Any]], set[int]]:
        heard: list[tuple[int, Any]] = []
        hearers: set[int] = set()
        all_heard: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = iter(range(items))

        def put_next() -> None:
            for item in waiting:
                threads.put(item)
                return

        def ended(item: int, result: Any) -> None:
            heard.append((item, result))
            hearers.add(threading.get_ident())
            put_next()
            if len(heard) == items:
                all_heard.set_result(None)

        threads: Threads[int, Any] = Threads(call, ended, all_heard.set_exception, most=most)
        for _ in range(most):
            put_next()
        async with asyncio.timeout(60):
            await all_heard
        return heard, hearers

    return asyncio.run(main())


def test_each_item_is_called_once_in_a_thread_of_the_pool_and_heard_in_the_loop() -> None:
    names: set[str] = set()

    def call(item: int) -> int:
        names.add(threading.current_thread().name)
        return 2 * item

    heard, hearers = run(call, 20_000)

    assert sorted(heard) == [(n, 2 * n) for n in range(20_000)]
    assert hearers == {threading.get_ident()}
    assert 1 <= len(names) <= MOST
    assert all(name.startswith("pgq-handler-") for name in names)


def test_items_that_wait_for_each_other_run_at_the_same_time() -> None:
    together = threading.Barrier(MOST, timeout=30)

    heard, _ = run(lambda _: together.wait(), 100 * MOST)

    assert len(heard) == 100 * MOST


def test_item_put_while_all_others_wait_is_taken() -> None:
    """The last of each four lets the others go: it must not wait until one of them is free."""
    gates = [threading.Event() for _ in range(50)]

    def call(item: int) -> bool:
        group, place = divmod(item, MOST)
        if place == MOST - 1:
            gates[group].set()
        return gates[group].wait(30)

    heard, _ = run(call, MOST * len(gates))

    assert all(opened for _, opened in heard)


def test_error_of_the_call_itself_is_told() -> None:
    def call(item: int) -> None:
        raise LookupError(item)

    with pytest.raises(LookupError):
        run(call, 1)
