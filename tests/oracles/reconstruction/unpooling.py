"""Max-pooling and its reversal for one feature map, position by position."""

from __future__ import annotations

from collections.abc import Sequence

from layerscope.network.geometry import Window

Map = Sequence[Sequence[float]]


def switch(source: Map, row: int, column: int, rows: Window, columns: Window) -> tuple[int, int]:
    """Where the window at one position of the result has its maximum: the first of equals, in row-major order."""
    best: tuple[int, int] | None = None
    for i in range(rows.kernel):
        for j in range(columns.kernel):
            y = row * rows.stride - rows.pad + i * rows.dilation
            x = column * columns.stride - columns.pad + j * columns.dilation
            inside = 0 <= y < len(source) and 0 <= x < len(source[0])
            if inside and (best is None or source[y][x] > source[best[0]][best[1]]):
                best = y, x
    assert best is not None
    return best


def unpool(source: Map, signal: Map, rows: Window, columns: Window, *, overwrite: bool) -> list[list[float]]:
    """Each value of the signal at its switch; where several meet their sum, or the last in row-major order."""
    back = [[0.0] * len(source[0]) for _ in source]
    for row, values in enumerate(signal):
        for column, value in enumerate(values):
            y, x = switch(source, row, column, rows, columns)
            back[y][x] = value if overwrite else back[y][x] + value
    return back
