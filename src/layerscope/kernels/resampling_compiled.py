"""Pictures resized along one axis after the other, and their greys looked up, compiled.

Importing this room costs numba; `resampling` waits with it. Sums are whole numbers, so their order does not matter.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from layerscope.kernels.resampling import BITS

Array = npt.NDArray[Any]
_HALF = 1 << (BITS - 1)
_ONE, _TWO, _COLOURS = (
    np.uint64(1),
    np.uint64(2),
    np.uint64(3),
)  # unsigned places are not counted from the end
_compiled = njit(nogil=True, cache=True, error_model="numpy")
_inlined = njit(nogil=True, error_model="numpy", inline="always")


@_inlined
def _grey(weighted: Any) -> Any:
    return min(max(weighted >> BITS, 0), 255)


@_compiled
def resize_columns(source: Array, first: Array, count: Array, weights: Array, made: Array) -> None:
    """Each row of source (rows, columns, 3) into one of made (rows, len(first), 3), all uint8."""
    for y in range(source.shape[0]):
        row, into = source[y].reshape(-1), made[y]
        for x in range(first.size):
            at, red, green, blue = np.uint64(first[x]) * _COLOURS, _HALF, _HALF, _HALF
            for tap in range(np.uint64(count[x])):
                weight = weights[x, tap]
                red += weight * np.int32(row[at])
                green += weight * np.int32(row[at + _ONE])
                blue += weight * np.int32(row[at + _TWO])
                at += _COLOURS
            into[x, 0], into[x, 1], into[x, 2] = _grey(red), _grey(green), _grey(blue)


@_compiled
def resize_rows(source: Array, first: Array, count: Array, weights: Array, made: Array) -> None:
    """The rows of source (rows, values) into those of made (len(first), values), both uint8."""
    sums = np.empty(source.shape[1], np.int32)
    for y in range(first.size):
        sums[:] = _HALF
        for tap in range(count[y]):
            weight, row = weights[y, tap], source[first[y] + tap]
            for x in range(sums.size):
                sums[x] += weight * np.int32(row[x])
        for x in range(sums.size):
            made[y, x] = _grey(sums[x])


@_compiled
def look_up(pixels: Array, table: Array, values: Array) -> None:
    """Of pixels (rows, columns, 3) the value of each grey in table (channels, 256), channels first."""
    for y in range(values.shape[1]):
        for x in range(values.shape[2]):
            for channel in range(values.shape[0]):
                values[channel, y, x] = table[channel, pixels[y, x, channel]]
