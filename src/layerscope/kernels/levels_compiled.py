"""Greys of 8 bits as a network's input: each looked up in its channel's levels, in one walk.

Importing this room costs numba; who looks up waits with it until there is a picture.
"""

from __future__ import annotations

from typing import Any

import numpy.typing as npt
from numba import njit

Array = npt.NDArray[Any]


@njit(nogil=True, cache=True)
def look_up(pictures: Array, levels: tuple[Array, ...], mirrored: Array, found: Array) -> None:
    """Levels (256,) of each channel at pictures (pictures, height, width, channels), uint8; some are mirrored.

    The length of a tuple is known when it is compiled, so that the loop over channels unrolls.
    """
    count, height, width, _ = pictures.shape
    for k in range(count):
        first, step = (width - 1, -1) if mirrored[k] else (0, 1)
        for y in range(height):
            at = first
            for x in range(width):
                for c in range(len(levels)):
                    found[k, y, x, c] = levels[c][pictures[k, y, at, c]]
                at += step
