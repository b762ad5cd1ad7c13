"""Arrays are read in many threads at once."""

import gc
import io
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from layerscope.images.bands import decode_array


class Slow:
    """Garbage that runs Python when it is collected, which another thread may interrupt."""

    def __init__(self) -> None:
        self.itself = self

    def __del__(self) -> None:
        sum(range(50))


@pytest.fixture
def hurried() -> Iterator[None]:
    """Threads take turns, and garbage is collected, as often as can be."""
    before = sys.getswitchinterval(), gc.get_threshold()
    sys.setswitchinterval(1e-6)
    gc.set_threshold(1)
    yield
    sys.setswitchinterval(before[0])
    gc.set_threshold(*before[1])


@pytest.mark.usefixtures("hurried")
def test_headers_are_read_one_by_one() -> None:
    """Python 3.11's parser, by which numpy reads them, fails now and then where several threads are in it."""
    file = io.BytesIO()
    np.save(file, np.zeros((4, 5, 4), np.uint8))

    def read(depth: int) -> tuple[int, ...]:
        Slow()
        return decode_array(file.getvalue()).values.shape if depth == 0 else read(depth - 1)

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(read, (i % 40 for i in range(4000)))) == {(4, 5, 4)}
