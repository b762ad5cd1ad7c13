"""How far features are from spread as in patches, value by value."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Maps = npt.NDArray[np.float64]


def spread(maps: Maps, grid: int) -> list[list[float]]:
    """Of maps (channels, height, width) each channel's values, rising; of every n-th row and column if there are more
    than ``grid``."""
    channels, height, width = maps.shape
    step = 1
    while (max(height, width) - 1) // step + 1 > grid:
        step += 1
    return [
        sorted(float(maps[c, y, x]) for y in range(0, height, step) for x in range(0, width, step))
        for c in range(channels)
    ]


def distance(found: list[Maps], patches: list[list[Maps]], grid: int) -> float:
    """Of one picture's maps to those of several patches: ``patches`` holds, for each operation, the maps of each."""
    shares = []
    for maps, several in zip(found, patches, strict=True):
        spreads = [spread(one, grid) for one in several]
        off = size = 0.0
        for c, values in enumerate(spread(maps, grid)):
            for place, value in enumerate(values):
                aim = sum(one[c][place] for one in spreads) / len(spreads)
                off, size = off + (value - aim) ** 2, size + aim**2
        shares.append(off / size)
    return sum(shares) / len(shares)


def spearman(one: list[float], other: list[float]) -> float:
    """Of two lists; 0 where one of them is all the same."""
    ranks = [
        [sum(b < a for b in values) + (sum(b == a for b in values) + 1) / 2 for a in values]
        for values in (one, other)
    ]
    mean = (len(one) + 1) / 2
    product = sum((a - mean) * (b - mean) for a, b in zip(*ranks, strict=True))
    sizes = [sum((a - mean) ** 2 for a in values) ** 0.5 for values in ranks]
    return product / (sizes[0] * sizes[1]) if all(sizes) else 0.0
