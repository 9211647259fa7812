"""Two views, two photographs, two charts at once: threads for work that lets Python's lock go."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

WORKERS = 2  # each holds a photograph of its own, so this is memory as much as time

Item = TypeVar("Item")
Result = TypeVar("Result")


def side_by_side(work: Callable[[Item], Result], items: Iterable[Item], workers: int = WORKERS) -> Iterator[Result]:
    """The results of work in the order of items; while one is used the next ones are made, as many as workers."""
    waiting, running = iter(items), deque[Future[Result]]()
    pool = ThreadPoolExecutor(workers)
    try:
        running.extend(pool.submit(work, item) for item in islice(waiting, workers))
        while running:
            result = running.popleft().result()
            running.extend(pool.submit(work, item) for item in islice(waiting, 1))
            yield result
            del result
    finally:
        pool.shutdown(cancel_futures=True)
