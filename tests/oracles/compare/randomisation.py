"""Similarity of pictures, window by window, and of ranks, value by value."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def ssim(one: Array, other: Array) -> float:
    """Wang et al. 2004 of two grey pictures in [0, 1]: the mean over all windows of 11 x 11 inside."""
    places = range(-5, 6)
    weights = np.array([[math.exp(-(r * r + c * c) / (2 * 1.5**2)) for c in places] for r in places])
    weights /= weights.sum()
    flat, structure = 0.01**2, 0.03**2
    found = []
    for row in range(5, one.shape[0] - 5):
        for column in range(5, one.shape[1] - 5):
            x, y = (a[row - 5 : row + 6, column - 5 : column + 6] for a in (one, other))
            mean_x, mean_y = float((weights * x).sum()), float((weights * y).sum())
            spread_x, spread_y = ((weights * (a - m) ** 2).sum() for a, m in ((x, mean_x), (y, mean_y)))
            both = (weights * (x - mean_x) * (y - mean_y)).sum()
            light = (2 * mean_x * mean_y + flat) / (mean_x**2 + mean_y**2 + flat)
            found.append(light * (2 * both + structure) / (spread_x + spread_y + structure))
    return float(np.mean(found))


def spearman(one: Array, other: Array) -> float:
    """Pearson's correlation of mean ranks, each counted out."""
    ranks = [np.array([(a < v).sum() + ((a == v).sum() - 1) / 2 for v in a]) for a in (one, other)]
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])
