"""Compiled work: loaded when needed, shared out among threads."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache

import torch

from layerscope.errors import LayerscopeError, said


def share_out(work: Callable[[int], None], parts: int) -> None:
    """Call work(i) for every part, on as many threads as torch uses, this one among them.

    Each takes the next part when it is free: torch's own threads wait busily for a while after each operation.
    """
    waiting = iter(range(parts))

    def work_on() -> None:
        while (part := next(waiting, None)) is not None:
            work(part)

    threads = max(1, min(torch.get_num_threads(), parts))
    others = [_pool(threads, os.getpid()).submit(work_on) for _ in range(1, threads)]
    try:
        work_on()
    finally:
        for other in others:
            other.result()


@cache
def _pool(threads: int, process: int) -> ThreadPoolExecutor:
    """Threads that wait for work; those of another process do not survive a fork, so each has its own."""
    return ThreadPoolExecutor(threads, thread_name_prefix=f"sharing-{process}")


@contextmanager
def loading_kernels() -> Iterator[None]:
    """Around the import of compiled kernels: says in one line that numba finds no place to keep them."""
    try:
        yield
    except RuntimeError as error:
        raise LayerscopeError(
            f"numba cannot keep its kernels ({said(error)}); set NUMBA_CACHE_DIR to a folder"
        ) from error
