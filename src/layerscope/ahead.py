"""Work done ahead in threads, in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

A = TypeVar("A")
T = TypeVar("T")


def made_ahead(
    make: Callable[[A], T], arguments: Iterable[A], threads: int, ahead: int
) -> Generator[tuple[A, T], None, None]:
    """Each argument with what is made of it, in order; at most ``ahead`` are being made or wait to be taken.

    What making one of them raises goes up as soon as the one now due is done. Closing the generator, as leaving a
    loop over it does, drops what has not begun and waits for the at most ``threads`` that have.
    """
    failed: list[Future[T]] = []

    def begin(argument: A) -> tuple[A, Future[T]]:
        future = pool.submit(make, argument)
        future.add_done_callback(lambda done: failed.append(done) if _failed(done) else None)
        return argument, future

    pool = ThreadPoolExecutor(threads, thread_name_prefix="ahead")
    rest = iter(arguments)
    try:
        waiting = deque(begin(argument) for argument in islice(rest, ahead))
        while waiting:
            argument, future = waiting.popleft()
            made = future.result()
            for early in failed:
                early.result()
            waiting.extend(begin(following) for following in islice(rest, 1))
            yield argument, made
    finally:
        pool.shutdown(cancel_futures=True)


def _failed(future: Future[T]) -> bool:
    return not future.cancelled() and future.exception() is not None
