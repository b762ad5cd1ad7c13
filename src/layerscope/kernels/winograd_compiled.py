"""Winograd's two transforms, compiled: pictures to the products' operands, and the products to pictures.

Importing this room costs numba; `winograd` waits with it. Everything lies channels last, and a few channels of one
tile at a time go through the innermost loops, so that what lies between the two axes stays in the nearest cache.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

Array = npt.NDArray[Any]

POINTS = (0.0, 0.625, -0.625, 1.5, -1.5)
"""Where the polynomials are evaluated, besides infinity: exact in binary, and of the symmetric choices about the one
of the least error in float32, less than half that of the usual 0, ±1, ±2 (docs/method.md)."""
READ, MADE = 6, 4  #: side of what a tile reads, and of what it makes

_A, _B = POINTS[1], POINTS[3]
_A1, _A2, _A3 = (np.float32(_A**n) for n in (1, 2, 3))
_B1, _B2, _B3 = (np.float32(_B**n) for n in (1, 2, 3))
_SUM, _PRODUCT = np.float32(_A**2 + _B**2), np.float32(_A**2 * _B**2)
_ZERO = np.float32(0)
LANES = 64  #: channels taken together
_compiled = njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract"})
_inlined = njit(nogil=True, error_model="numpy", fastmath={"contract"}, inline="always")


@_inlined
def _read_axis(d0: Any, d1: Any, d2: Any, d3: Any, d4: Any, d5: Any) -> Any:
    """Along one axis, six values to the operands of the six products."""
    even, odd = d4 - _B2 * d2, _A1 * (d3 - _B2 * d1)
    even2, odd2 = d4 - _A2 * d2, _B1 * (d3 - _A2 * d1)
    first, last = _PRODUCT * d0 - _SUM * d2 + d4, _PRODUCT * d1 - _SUM * d3 + d5
    return first, even + odd, even - odd, even2 + odd2, even2 - odd2, last


@_inlined
def _make_axis(m0: Any, m1: Any, m2: Any, m3: Any, m4: Any, m5: Any) -> Any:
    """Along one axis, six products to four values of the result."""
    sum1, difference1, sum2, difference2 = m1 + m2, m1 - m2, m3 + m4, m3 - m4
    return (
        m0 + sum1 + sum2,
        _A1 * difference1 + _B1 * difference2,
        _A2 * sum1 + _B2 * sum2,
        _A3 * difference1 + _B3 * difference2 + m5,
    )


@_inlined
def _cut(x: Array, picture: int, top: int, left: int, start: int, lanes: int, d: Array) -> None:
    """Some channels of what a tile reads, zeros where that is outside the picture."""
    for i in range(READ):
        for j in range(READ):
            row, column = top + i, left + j
            if 0 <= row < x.shape[1] and 0 <= column < x.shape[2]:
                for c in range(lanes):
                    d[i, j, c] = x[picture, row, column, start + c]
            else:
                for c in range(lanes):
                    d[i, j, c] = _ZERO


@_compiled
def read_tiles(x: Array, picture: int, row: int, pads: Any, first: int, across: int, operands: Array) -> None:
    """A row of tiles of one picture of x (pictures, height, width, channels), into operands (tiles, 36, channels).

    They are the tiles from ``first`` on; the operands may have room for more channels.
    """
    d, t = np.empty((READ, READ, LANES), np.float32), np.empty((READ, READ, LANES), np.float32)
    for start in range(0, x.shape[3], LANES):
        lanes = min(LANES, x.shape[3] - start)
        for tile in range(across):
            _cut(x, picture, row * MADE - pads[0], tile * MADE - pads[1], start, lanes, d)
            for j in range(READ):
                for c in range(lanes):
                    t[0, j, c], t[1, j, c], t[2, j, c], t[3, j, c], t[4, j, c], t[5, j, c] = _read_axis(
                        d[0, j, c], d[1, j, c], d[2, j, c], d[3, j, c], d[4, j, c], d[5, j, c]
                    )
            for i in range(READ):
                for c in range(lanes):
                    d[i, 0, c], d[i, 1, c], d[i, 2, c], d[i, 3, c], d[i, 4, c], d[i, 5, c] = _read_axis(
                        t[i, 0, c], t[i, 1, c], t[i, 2, c], t[i, 3, c], t[i, 4, c], t[i, 5, c]
                    )
            for i in range(READ):
                for j in range(READ):
                    for c in range(lanes):
                        operands[first + tile, READ * i + j, start + c] = d[i, j, c]


@_compiled
def make_tiles(
    products: Array, first: int, across: int, picture: int, row: int, bias: Array, lowest: Any, y: Array
) -> None:
    """A row of tiles, from ``first`` on of products (36, tiles, channels), into one picture of y.

    y is (pictures, height, width, channels). The bias (channels,) is added; what is below ``lowest`` becomes it,
    NaN stays.
    """
    o, t = np.empty((MADE, MADE, LANES), np.float32), np.empty((MADE, READ, LANES), np.float32)
    top = row * MADE
    for start in range(0, y.shape[3], LANES):
        lanes = min(LANES, y.shape[3] - start)
        for tile in range(across):
            at = first + tile
            for j in range(READ):
                for c in range(lanes):
                    k = start + c
                    t[0, j, c], t[1, j, c], t[2, j, c], t[3, j, c] = _make_axis(
                        products[j, at, k],
                        products[READ + j, at, k],
                        products[2 * READ + j, at, k],
                        products[3 * READ + j, at, k],
                        products[4 * READ + j, at, k],
                        products[5 * READ + j, at, k],
                    )
            for i in range(MADE):
                for c in range(lanes):
                    o[i, 0, c], o[i, 1, c], o[i, 2, c], o[i, 3, c] = _make_axis(
                        t[i, 0, c], t[i, 1, c], t[i, 2, c], t[i, 3, c], t[i, 4, c], t[i, 5, c]
                    )
            left = tile * MADE
            for i in range(min(MADE, y.shape[1] - top)):
                for j in range(min(MADE, y.shape[2] - left)):
                    for c in range(lanes):
                        value = o[i, j, c] + bias[start + c]
                        y[picture, top + i, left + j, start + c] = lowest if value < lowest else value
