"""Room on the disk for what memory may not hold: in a file without a name, which goes when the process does."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt

from layerscope.disk.whole import written


@contextmanager
def bytes_on_disk(folder: Path, shape: tuple[int, ...]) -> Iterator[npt.NDArray[np.uint8]]:
    """An array of zeros, uint8, in a file of the folder's disk, until this ends.

    Raises OutputError if there is no room for it: it is taken now.
    """
    size = math.prod(shape)
    if not size:
        yield np.zeros(shape, np.uint8)
        return
    with written(folder):
        file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed below
    with file:
        with written(folder):
            _reserve(file.fileno(), size)
            array = np.memmap(file, np.uint8, "r+", shape=shape)
        yield array


def _reserve(descriptor: int, size: int) -> None:
    """Take room on the disk now: a mapped file that finds none later ends the process without a word."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
    else:
        os.truncate(descriptor, size)
