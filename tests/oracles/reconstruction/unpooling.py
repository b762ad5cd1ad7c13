"""Max-pooling and its reversal for one feature map, position by position."""

from __future__ import annotations

import math
from collections.abc import Sequence

from layerscope.network.readers import Window

Map = Sequence[Sequence[float]]


def switch(source: Map, row: int, column: int, rows: Window, columns: Window) -> tuple[int, int] | None:
    """Where the window at one position of the result has its maximum; None if that is NaN.

    The first, in row-major order, of those at most 2^-20 of the maximum below it.
    """
    places = [
        (
            row * rows.stride - rows.pad + i * rows.dilation,
            column * columns.stride - columns.pad + j * columns.dilation,
        )
        for i in range(rows.kernel)
        for j in range(columns.kernel)
    ]
    inside = [(y, x) for y, x in places if 0 <= y < len(source) and 0 <= x < len(source[0])]
    if any(math.isnan(source[y][x]) for y, x in inside):
        return None
    most = max(source[y][x] for y, x in inside)
    for y, x in inside:
        if source[y][x] == most or most - source[y][x] <= abs(most) * 2**-20 < math.inf:
            return y, x
    raise AssertionError(f"no maximum in {inside}")


def unpool(source: Map, signal: Map, rows: Window, columns: Window, *, overwrite: bool) -> list[list[float]]:
    """Each value of the signal at its switch; where several meet their sum, or the last in row-major order."""
    back = [[0.0] * len(source[0]) for _ in source]
    for row, values in enumerate(signal):
        for column, value in enumerate(values):
            place = switch(source, row, column, rows, columns)
            if place is None:
                continue
            y, x = place
            back[y][x] = value if overwrite else back[y][x] + value
    return back
